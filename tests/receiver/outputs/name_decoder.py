"""Decodes the names of `receiver.outputs.name_codec`, to prove that no two texts share one."""

import re

from receiver.outputs.name_codec import ABSENT_COMPONENT, Capitals, encode_component

_letters = re.compile(r"![0-9a-f]{2}|([A-Za-z])")
_escapes = re.compile(r"(?:![0-9a-f]{2})+")
_is_hashed = re.compile(r"[A-Za-z0-9._!-]+!h[0-9a-f]{32}").fullmatch
_parts_of = re.compile(r"((?:[A-Za-z0-9._-]|![0-9a-f]{2})+)(?:!u([0-9a-f]+))?").fullmatch


def decode_component(name: str, capitals: Capitals = "encoded") -> str | None:
    """The text that `encode_component` made `name` from; None for a hashed name and for `!n`.

    Encoded capitals are restored also where a file system has lower-cased the name. Raises
    ValueError for names that are never made.
    """
    keeps_capitals = capitals == "kept"
    if name == "!z":
        return ""
    if name == ABSENT_COMPONENT or _is_hashed(name):
        return None
    parts = _parts_of(name)
    if parts is None:
        raise ValueError(f"{name!r} is no name that this project writes")
    body, mark = parts[1], int(parts[2] or "0", 16)
    try:
        text = _escapes.sub(_unescape, body if keeps_capitals else _restore_case(body, mark))
    except UnicodeDecodeError:
        text = ""
    made = encode_component(text, capitals)
    if name != made and (keeps_capitals or name != made.lower()):
        raise ValueError(f"{name!r} is no name that this project writes")
    return text


def _unescape(match: re.Match[str]) -> str:
    return bytes.fromhex(match[0].replace("!", "")).decode(errors="surrogatepass")


def _restore_case(body: str, mark: int) -> str:
    position = -1

    def restore(match: re.Match[str]) -> str:
        nonlocal position
        if not match[1]:
            return match[0]
        position += 1
        return match[1].upper() if mark >> position & 1 else match[1].lower()

    return _letters.sub(restore, body)
