"""What anybody may see of an answer, a delivery or headers: names, types and enums. Pure.

Everything is left out that is not known to be harmless. A name or value stays only where the API's
own documentation has it, or where it has the form of an enum under a member that holds enums.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

MAX_DEPTH = 24
MAX_MEMBERS = 64  # of an object, and different shapes of a list

_NAME = re.compile(r"@?[A-Za-z][A-Za-z_]{0,39}|sha256Hash")
_ENUM = re.compile(
    r"[A-Z][A-Z_]{1,59}|[a-z][a-z_]{1,59}|(batch|video|interaction)\.[a-z_]{2,30}|v\d{1,2}"
    r"|EdDSA|Ed25519|RS256|(application|text|image|audio|video)/[a-z.+-]{2,40}"
)
_TYPE_URL = re.compile(r"type\.googleapis\.com/google(\.[A-Za-z][A-Za-z0-9]{0,39}){1,9}")
_ENUM_MEMBER = re.compile(
    "state|status|reason|type|version|role|modality|source|mimeType|mime_type|finishReason"
    "|serviceTier|subscribed_events|supportedGenerationMethods|kty|alg|crv|use"
)
_METHODS = re.compile(r"[a-z][A-Za-z]{2,40}")
_CODES = frozenset({"code", "error_code", "errorCode"})
# What their senders and owners name as they like.
_OWN_MEMBERS = frozenset({"user_metadata", "userMetadata", "labels", "args"})
_FORMS = (
    ("time", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")),
    ("batches/<id>", re.compile(r"batches/[A-Za-z0-9_-]+")),
    ("batch_<id>", re.compile(r"batch_[A-Za-z0-9-]+")),
    ("files/<id>", re.compile(r"files/[A-Za-z0-9_-]+")),
    ("models/<id>", re.compile(r"models/[A-Za-z0-9._-]+")),
    ("webhooks/<id>", re.compile(r"webhooks/[A-Za-z0-9_-]+")),
    ("url", re.compile(r"[a-z][a-z0-9+.-]*://.*", re.DOTALL)),
    ("digits", re.compile(r"\d+")),
)

_HEADER_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_PLAIN_HEADER = re.compile(
    "accept|accept-encoding|accept-ranges|alt-svc|cache-control|connection|content-encoding"
    "|content-type|server|transfer-encoding|vary|x-content-type-options|x-frame-options"
    "|x-goog-upload-chunk-granularity|x-goog-upload-command|x-goog-upload-status|x-xss-protection"
)
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9 ,;=/*+\"_-]{0,120}")
_WORD = re.compile(r"[A-Za-z]{0,20}[0-9]{0,2}|[0-9]{1,10}")  # keys mix letters and digits
_DIGITS = re.compile(r"\d+")
_RANGE = re.compile(r"bytes \d+-\d+/(\d+|\*)")
_AGENT = re.compile(r"[A-Za-z][A-Za-z -]{0,39}")  # without versions and addresses
_ID_FORM = re.compile(r"([a-z]{1,10}_)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def shape_of(value: Any, member: str = "", depth: int = 0) -> Any:
    """The value with its members' names, and types in place of contents.

    >>> shape_of({"name": "batches/abc", "state": "FAILED", "code": 13, "note": "Ann's"})
    {'name': 'batches/<id>', 'state': 'FAILED', 'code': 13, 'note': 'string'}
    """
    if depth > MAX_DEPTH:
        return "deeper"
    if isinstance(value, dict):
        return "object" if member in _OWN_MEMBERS else _object_shape(value, depth)
    if isinstance(value, list):
        return _list_shape(value, member, depth)
    if isinstance(value, str):
        return _text_shape(value, member)
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    is_code = member in _CODES and isinstance(value, int) and abs(value) < 1000  # noqa: PLR2004
    return value if is_code else "number"


def _object_shape(value: Mapping[str, Any], depth: int) -> dict[str, Any]:
    members = sorted(value.items())[:MAX_MEMBERS]
    return {
        name if _NAME.fullmatch(name) else "<name>": shape_of(inner, name, depth + 1)
        for name, inner in members
    }


def _list_shape(values: list[Any], member: str, depth: int) -> list[Any]:
    """The different shapes of a list, in their order."""
    found: list[Any] = []
    for value in values:
        shape = shape_of(value, member, depth + 1)
        if shape not in found and len(found) < MAX_MEMBERS:
            found.append(shape)
    return found


def _text_shape(text: str, member: str) -> str:
    if member == "@type" and _TYPE_URL.fullmatch(text):
        return text
    if _ENUM_MEMBER.fullmatch(member) and (_ENUM.fullmatch(text) or _is_method(text, member)):
        return text
    return next((form for form, pattern in _FORMS if pattern.fullmatch(text)), "string")


def _is_method(text: str, member: str) -> bool:
    return member == "supportedGenerationMethods" and _METHODS.fullmatch(text) is not None


def header_shapes(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The headers by name, sorted; `…` for a value that might be a secret, or about somebody.

    >>> header_shapes([("Content-Type", "application/json"), ("Authorization", "Bearer x")])
    {'authorization': '…', 'content-type': 'application/json'}
    """
    named = [(name.lower(), value) for name, value in pairs]
    shown = {name: _header_shape(name, value) for name, value in named if _is_plain_name(name)}
    return dict(sorted(shown.items()))


def _is_plain_name(name: str) -> bool:
    return _HEADER_NAME.fullmatch(name) is not None


def _header_shape(name: str, value: str) -> str:
    if name == "webhook-signature":
        return " ".join(signature_schemes(value))
    if name == "webhook-id":
        return "<prefix_>uuid" if _ID_FORM.fullmatch(value) else "text"
    if name == "content-range":
        return "bytes N-N/N" if _RANGE.fullmatch(value) else "…"
    if name == "user-agent":
        product = value.partition("/")[0]
        return product if _AGENT.fullmatch(product) else "…"
    if _PLAIN_HEADER.fullmatch(name) and _is_plain(value):
        return value
    return "digits" if _DIGITS.fullmatch(value) else "…"


def _is_plain(value: str) -> bool:
    words = re.split(r"[^A-Za-z0-9]+", value)
    return _PLAIN_VALUE.fullmatch(value) is not None and all(map(_WORD.fullmatch, words))


def signature_schemes(value: str) -> list[str]:
    """The schemes of a `webhook-signature`, in their order.

    >>> signature_schemes("v1,c2VjcmV0 v1a,c2VjcmV0"), signature_schemes("e30.e30.c2ln")
    (['v1', 'v1a'], ['jwt'])
    """
    parts = [part.partition(",") for part in value.split(" ")[:16]]
    jwt_dots = 2
    return [
        version
        if mark and version in ("v1", "v1a")
        else "jwt"
        if not mark and version.count(".") == jwt_dots
        else "other"
        for version, mark, _ in parts
    ]
