"""Any text as one component of an object name. Pure.

Letters, digits, `.`, `-` and `_` stay as they are. Everything else becomes `!xx`, a byte of its
UTF-8 in hex. `!` is the escape character because S3, GCS, Azure, Windows and Unix all take it; `%`
and `~` are on S3's list to avoid.

Capitals are encoded by default, which makes a name safe everywhere. They may be kept where the
storage tells `Key` and `key` apart. A name of one form never stands for another text in the other
form: only encoded capitals give `!u`. The tests decode names, and so prove that no two texts share
one.

>>> encode_component("request-7")
'request-7'
>>> encode_component("../etc/passwd")
'!2e.!2fetc!2fpasswd'
>>> encode_component("Größe")
'Gr!c3!b6!c3!9fe!u1'
>>> encode_component("Größe", "kept")
'Gr!c3!b6!c3!9fe'

After `!` come two hex digits, or a letter that is none of them:
* `!u<hex>` at the end: bit i is set when the i-th plain letter is upper-case. So no two names
  differ by case only, and a file system that ignores case loses nothing. Left out where capitals
  are kept.
* `!h<32 hex>` at the end: the text was too long; its start is followed by the sha256 of all of it.
* `!z` alone is the empty text, `!n` alone says that there was no value.
"""

import re
from hashlib import sha256
from typing import Literal

Capitals = Literal["encoded", "kept"]

MAX_COMPONENT_CHARACTERS = 180
ABSENT_COMPONENT = "!n"
_EMPTY_COMPONENT = "!z"
_HEAD_CHARACTERS = 100
_DIGEST_CHARACTERS = 32
# Windows opens a device for these names, with any extension and in any case.
_DEVICE = r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|\Z)"
_PLAIN = rf"(?!{_DEVICE})[a-z0-9-][a-z0-9._-]{{0,{MAX_COMPONENT_CHARACTERS - 1}}}(?<!\.)"
_is_plain = re.compile(_PLAIN).fullmatch
_is_plain_in_any_case = re.compile(_PLAIN, re.IGNORECASE | re.ASCII).fullmatch
_is_device = re.compile(_DEVICE, re.IGNORECASE | re.ASCII).match
_special = re.compile(r"[^A-Za-z0-9._-]+|\A[_.]|\.\Z")
_escapes = re.compile(r"(?:![0-9a-f]{2})+")
# "1" for an upper-case letter, "0" for a lower-case one; nothing for other characters.
_CASE_BITS = {
    code: "1" if chr(code).isupper() else "0" if chr(code).islower() else None
    for code in range(128)
}


def encode_component(text: str, capitals: Capitals = "encoded") -> str:
    """The component for `text`, and for no other text, unchanged in all versions.

    It has at most 180 characters of `A-Za-z0-9._-!`. It never begins with `_` or `.`, which belong
    to our own objects and to hidden files, and never ends with `.`.
    """
    keeps_capitals = capitals == "kept"
    if _is_plain(text) or (keeps_capitals and _is_plain_in_any_case(text)):
        return text
    if not text:
        return _EMPTY_COMPONENT

    body = guard_device(_special.sub(_escape, text))
    name = body if keeps_capitals else body + _case_mark(body)
    if len(name) <= MAX_COMPONENT_CHARACTERS:
        return name
    return hashed_component(body, text)


def hashed_component(body: str, text: str) -> str:
    """The start of an encoded `body`, cut before half an escape, and a digest of its `text`."""
    head = body[:_HEAD_CHARACTERS]
    cut = head.rfind("!", _HEAD_CHARACTERS - 2)
    if cut >= 0:
        head = head[:cut]
    return f"{head}!h{sha256(text.encode(errors='surrogatepass')).hexdigest()[:_DIGEST_CHARACTERS]}"


def guard_device(body: str) -> str:
    """Escape the first letter of a name that Windows would open as a device."""
    return f"!{ord(body[0]):02x}{body[1:]}" if _is_device(body) else body


def _escape(match: re.Match[str]) -> str:
    return "!" + match[0].encode(errors="surrogatepass").hex("!")


def _case_mark(body: str) -> str:
    letters = _escapes.sub("", body) if "!" in body else body
    mark = int("0" + letters.translate(_CASE_BITS)[::-1], 2)
    return f"!u{mark:x}" if mark else ""
