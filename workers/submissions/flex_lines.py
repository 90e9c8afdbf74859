"""Result lines of requests that were sent one by one, in the form of a batch's. Pure."""

from collections.abc import Mapping

import msgspec

from receiver.http import httpx

Asked = Mapping[str, msgspec.Raw]  # an input line: `request`, `key` and what else it has
_CONTENT = frozenset({"request", "response", "error", "status", "key"})
# google.rpc.Code
CANCELLED, INVALID_ARGUMENT, NOT_FOUND, INTERNAL, DATA_LOSS = 1, 3, 5, 13, 15
MAX_MESSAGE = 500


def read_asked(line: bytes) -> Asked:
    """An input line with its members as they are. Raises msgspec.DecodeError."""
    return msgspec.json.decode(line, type=dict[str, msgspec.Raw])


def read_request(asked: Asked) -> Mapping[str, msgspec.Raw]:
    """The request of an input line. Raises msgspec.DecodeError."""
    return msgspec.json.decode(asked["request"], type=dict[str, msgspec.Raw])


def answer_line(asked: Asked, answer: bytes) -> bytes:
    """The line of a request that Gemini answered."""
    try:
        compact = msgspec.json.format(answer, indent=-1)
        msgspec.json.decode(compact, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as error:
        return error_line(asked, INTERNAL, f"Gemini's answer is no JSON object: {error}")
    return _line({"response": msgspec.Raw(compact)}, asked)


def error_line(asked: Asked, code: int, message: str) -> bytes:
    """The line of a request that Gemini did not answer, and charges nothing for."""
    return _line({"error": {"code": code, "message": message[:MAX_MESSAGE]}}, asked)


def refused_line(asked: Asked, status: int | None, message: str) -> bytes:
    """The line of a request that Gemini refuses for good."""
    is_unknown = status == httpx.codes.NOT_FOUND
    return error_line(asked, NOT_FOUND if is_unknown else INVALID_ARGUMENT, message)


def lost_line(asked: Asked, cause: str) -> bytes:
    """The line of a request of which nobody knows whether Gemini charged for it.

    The empty counts say that its cost is unknown, and the code that it is not sent again.
    """
    message = (
        "nobody knows whether Gemini answered this request, and charged for it:"
        f" {cause}; so it is not sent again"
    )
    error = {"code": DATA_LOSS, "message": message[:MAX_MESSAGE]}
    return _line({"error": error, "response": {"usageMetadata": {}}}, asked)


def _line(content: Mapping[str, object], asked: Asked) -> bytes:
    """As Gemini writes it: the answer, then what else the request's line had, the key last."""
    others = {name: value for name, value in asked.items() if name not in _CONTENT}
    key = {"key": asked["key"]} if "key" in asked else {}
    return msgspec.json.encode({**content, **others, **key})
