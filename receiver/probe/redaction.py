"""A second look at a finished report: nothing in it may be a secret, or say whose it is. Pure.

The first one is that shapes hold nothing that is not known to be harmless.
"""

import re
from collections.abc import Iterable

MIN_CHARS = 4  # shorter ones stand in any text
_PATTERNS = {
    "an API key": re.compile(r"AIza[0-9A-Za-z_-]{10,}|AQ\.[0-9A-Za-z_-]{10,}"),
    "a webhook secret": re.compile(r"whsec_[A-Za-z0-9+/=]{4,}"),
    "a token": re.compile(r"ya29\.|eyJ[A-Za-z0-9_-]{8,}|[Bb]earer "),
    "a signature": re.compile(r"\bv1a?,[A-Za-z0-9+/]{8,}"),
    "an IP address": re.compile(
        r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])|(?i:[0-9a-f]{0,4}:){2,}[0-9a-f]{1,4}(?![\w.])"
    ),
    "an address": re.compile(r"[a-z][a-z0-9+.-]*://|[\w.+-]+@[\w-]+\.[a-z]"),
    "the name of a batch, file or project": re.compile(
        r"\b(?:batches|files|projects|webhooks)/(?!<)[A-Za-z0-9]|upload_id=|\bkey="
    ),
}


def find_leaks(text: str, secrets: Iterable[str]) -> list[str]:
    """What the text must not hold and holds, in words that do not repeat it.

    `secrets` are those that are known, and names of hosts.
    """
    lowered = text.lower()
    known = {one.lower() for one in secrets if len(one) >= MIN_CHARS}
    found = ["something that is known to be secret"] if any(s in lowered for s in known) else []
    return found + [what for what, pattern in _PATTERNS.items() if pattern.search(text)]
