"""Any text becomes one component of an object name, and back.

Letters, digits, `.`, `-` and `_` stay as they are. Everything else becomes `!xx`, a byte of its
UTF-8 in hex. `!` is the escape character because S3, GCS, Azure, Windows and Unix all take it; `%`
and `~` are on S3's list to avoid.

Capitals are encoded by default, which makes a name safe everywhere. They may be kept where the
storage tells `Key` and `key` apart. A name of one form never stands for another text in the other
form: only encoded capitals give `!u`.

>>> encode_component("request-7")
'request-7'
>>> encode_component("../etc/passwd")
'!2e.!2fetc!2fpasswd'
>>> encode_component("Größe")
'Gr!c3!b6!c3!9fe!u1'
>>> decode_component("Gr!c3!b6!c3!9fe!u1"), decode_component("gr!c3!b6!c3!9fe!u1")
('Größe', 'Größe')
>>> encode_component("Größe", "kept"), decode_component("Gr!c3!b6!c3!9fe", "kept")
('Gr!c3!b6!c3!9fe', 'Größe')

After `!` come two hex digits, or a letter that is none of them:
* `!u<hex>` at the end: bit i is set when the i-th plain letter is upper-case. So no two names differ by case only, and
  a file system that forgets case loses nothing. Left out where capitals are kept.
* `!h<32 hex>` at the end: the text was too long; before it stands the start, the hex is of the whole text's sha256.
* `!z` alone is the empty text, `!n` alone says that there was no value.
"""

import re
from hashlib import sha256
from typing import Literal

from receiver.errors import LayoutError

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
_letters = re.compile(r"![0-9a-f]{2}|([A-Za-z])")
_is_hashed = re.compile(rf"[A-Za-z0-9._!-]+!h[0-9a-f]{{{_DIGEST_CHARACTERS}}}").fullmatch
_parts_of = re.compile(r"((?:[A-Za-z0-9._-]|![0-9a-f]{2})+)(?:!u([0-9a-f]+))?").fullmatch
_escapes = re.compile(r"(?:![0-9a-f]{2})+")
_CASE_BITS = {
    code: "1" if chr(code).isupper() else "0" if chr(code).islower() else None
    for code in range(128)
}  # of a letter; of nothing else


def encode_component(text: str, capitals: Capitals = "encoded") -> str:
    """The component for `text`: at most 180 characters of `A-Za-z0-9._-!`, for no other text, the same for ever.

    It never begins with `_` or `.`, which belong to our own objects and to hidden files, and never ends with `.`.
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
    """The first characters of an encoded `body`, never half an escape, and the digest of the `text` it stands for."""
    head = body[:_HEAD_CHARACTERS]
    cut = head.rfind("!", _HEAD_CHARACTERS - 2)
    if cut >= 0:
        head = head[:cut]
    return f"{head}!h{sha256(text.encode(errors='surrogatepass')).hexdigest()[:_DIGEST_CHARACTERS]}"


def guard_device(body: str) -> str:
    """Escape the first letter of what Windows takes for a device."""
    return f"!{ord(body[0]):02x}{body[1:]}" if _is_device(body) else body


def decode_component(name: str, capitals: Capitals = "encoded") -> str | None:
    """The text that `encode_component` made `name` from.

    Encoded capitals come back also when a file system has lower-cased the name.

    None for a hashed name and for `!n`, which hold no text. Raises LayoutError for names that are never made.
    """
    keeps_capitals = capitals == "kept"
    if _is_plain(name) or (keeps_capitals and _is_plain_in_any_case(name)):
        return name
    if name == _EMPTY_COMPONENT:
        return ""
    if name == ABSENT_COMPONENT or _is_hashed(name):
        return None
    parts = _parts_of(name)
    if parts is None:
        raise LayoutError(f"{name!r} is no name that this project writes")
    body, mark = parts[1], int(parts[2] or "0", 16)
    try:
        text = _escapes.sub(_unescape, body if keeps_capitals else _restore_case(body, mark))
    except UnicodeDecodeError:
        text = ""
    made = encode_component(text, capitals)
    if name != made and (keeps_capitals or name != made.lower()):
        raise LayoutError(f"{name!r} is no name that this project writes")
    return text


def _escape(match: re.Match[str]) -> str:
    return "!" + match[0].encode(errors="surrogatepass").hex("!")


def _unescape(match: re.Match[str]) -> str:
    return bytes.fromhex(match[0].replace("!", "")).decode(errors="surrogatepass")


def _case_mark(body: str) -> str:
    letters = _escapes.sub("", body) if "!" in body else body
    mark = int("0" + letters.translate(_CASE_BITS)[::-1], 2)
    return f"!u{mark:x}" if mark else ""


def _restore_case(body: str, mark: int) -> str:
    position = -1

    def restore(match: re.Match[str]) -> str:
        nonlocal position
        if not match[1]:
            return match[0]
        position += 1
        return match[1].upper() if mark >> position & 1 else match[1].lower()

    return _letters.sub(restore, body)
