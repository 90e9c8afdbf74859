"""The tag in a batch's display name that identifies the call which created it. Pure.

Of a create call with inline requests Gemini shows only the display name again, and two inputs may
have the same. So a tag is appended to the user's name when a batch is created, and split off when
Gemini's answer is read: the rest of the code never sees it.
"""

import re
import secrets

_TAGGED = re.compile(
    r"(?P<name>.*) \[gbr:(?P<tag>[0-9a-f]{20}\.[0-9]{1,6}\.[0-9a-f]{12})\]", re.DOTALL
)


def new_tag(submission_id: str, part: int) -> str:
    """A tag for one call: submission, part, and a random number against repeated calls."""
    return f"{submission_id}.{part}.{secrets.token_hex(6)}"


def add_tag(name: str, tag: str) -> str:
    """The display name to send to Gemini.

    >>> add_tag("evening", "5d41402abc4b2a76b971.1.0123456789ab")
    'evening [gbr:5d41402abc4b2a76b971.1.0123456789ab]'
    """
    return f"{name} [gbr:{tag}]"


def split_tag(display_name: str | None) -> tuple[str | None, str | None]:
    """The name that the user gave and the tag, each None if missing.

    >>> split_tag("evening [gbr:5d41402abc4b2a76b971.1.0123456789ab]")
    ('evening', '5d41402abc4b2a76b971.1.0123456789ab')
    >>> split_tag("evening [stuck]")
    ('evening [stuck]', None)
    """
    match = _TAGGED.fullmatch(display_name or "")
    return (display_name, None) if match is None else (match["name"], match["tag"])
