"""Error codes with their names, for people: those of google.rpc, and the statuses of HTTP. Pure."""

from http import HTTPStatus

RPC_NAMES = {
    1: "CANCELLED",
    2: "UNKNOWN",
    3: "INVALID_ARGUMENT",
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    6: "ALREADY_EXISTS",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION",
    10: "ABORTED",
    11: "OUT_OF_RANGE",
    12: "UNIMPLEMENTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
    15: "DATA_LOSS",
    16: "UNAUTHENTICATED",
}
# As Google's APIs name them; of 409 they have two, so it has HTTP's own, as the others have.
HTTP_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
MAX_DIGITS = 3


def name_code(code: str | int | None) -> str | None:
    """The name of a numeric code, None for one that has none; what is no number is a name itself.

    >>> name_code(8), name_code("429"), name_code("502"), name_code("SAFETY"), name_code(77)
    ('RESOURCE_EXHAUSTED', 'RESOURCE_EXHAUSTED', 'BAD_GATEWAY', 'SAFETY', None)
    """
    text = "" if code is None else str(code)
    if not (text.isascii() and text.isdigit()):
        return text or None
    number = int(text) if len(text) <= MAX_DIGITS else 0
    if name := RPC_NAMES.get(number) or HTTP_NAMES.get(number):
        return name
    try:
        return HTTPStatus(number).name
    except ValueError:
        return None


def describe_code(code: str | int | None) -> str:
    """A code with its name, as everything shows it that people read; empty without a code.

    >>> describe_code(8), describe_code("429"), describe_code("SAFETY"), describe_code("77")
    ('8 RESOURCE_EXHAUSTED', '429 RESOURCE_EXHAUSTED', 'SAFETY', '77')
    """
    text, name = "" if code is None else str(code), name_code(code)
    return text if name in (None, text) else f"{text} {name}"
