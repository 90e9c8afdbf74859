"""Pure: the tag in a batch's display name that proves which call created it.

Of what a create call sends with inline requests, Gemini shows only the display name again, and a name alone proves
nothing: two inputs may share it. The tag stands behind the name that the user gave. It is added where a batch is
created and split off where Gemini's answer is read, so that nobody else here ever sees it.
"""

import re
import secrets

_TAGGED = re.compile(
    r"(?P<name>.*) \[gbr:(?P<tag>[0-9a-f]{20}\.[0-9]{1,6}\.[0-9a-f]{12})\]", re.DOTALL
)


def new_tag(submission_id: str, part: int) -> str:
    """A tag for one call: whose batch it creates, and a number that no other call has, on any machine."""
    return f"{submission_id}.{part}.{secrets.token_hex(6)}"


def add_tag(name: str, tag: str) -> str:
    """The display name that Gemini gets.

    >>> add_tag("evening", "5d41402abc4b2a76b971.1.0123456789ab")
    'evening [gbr:5d41402abc4b2a76b971.1.0123456789ab]'
    """
    return f"{name} [gbr:{tag}]"


def split_tag(display_name: str | None) -> tuple[str | None, str | None]:
    """The name that the user gave, and the tag behind it; None where there is none.

    >>> split_tag("evening [gbr:5d41402abc4b2a76b971.1.0123456789ab]")
    ('evening', '5d41402abc4b2a76b971.1.0123456789ab')
    >>> split_tag("evening [stuck]")
    ('evening [stuck]', None)
    """
    match = _TAGGED.fullmatch(display_name or "")
    return (display_name, None) if match is None else (match["name"], match["tag"])
