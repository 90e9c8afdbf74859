"""A result file with everything in it that has a name."""

import json
from typing import Any


def answer(key: object, text: str = "hello", reason: str = "STOP", **more: Any) -> bytes:
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": reason}
    return json.dumps({"response": {"candidates": [candidate]}, "key": key, **more}).encode()


def failure(key: str, code: int) -> bytes:
    return json.dumps({"error": {"code": code, "message": "it broke"}, "key": key}).encode()


def empty(key: str, **response: object) -> bytes:
    return json.dumps({"response": response, "key": key}).encode()


UNKEYED = answer(None)
ROWS = (  # what a server can send inline too
    answer("fr-unicode", "a\u2028b \U0001f600"),
    answer("FR-capital"),
    answer("../../de-escape"),
    answer("de-cut", reason="MAX_TOKENS"),
    empty("de-empty"),
    empty("de-blocked", promptFeedback={"blockReason": "SAFETY"}),
    failure("fr-again", 8),
    failure("fr-never", 3),
    UNKEYED,
    answer("fr-unicode", "a second line of its key"),
    UNKEYED,
    b'{"metadata":{"key":"de-inner"},"response":{"embedding":{"values":[0.1]}}}',
)
# Lines in their order; requests are the lines that are neither blank nor a second one of a key.
LINES = (
    b"\xef\xbb\xbf" + answer("de-bom"),
    answer("de-crlf") + b"\r",
    b"",
    b" \t",
    *ROWS,
    answer("\ud800"),
    b'{"key":"de-nan","response":NaN}',
    b'{"key": "broken',
    b'{"key":"de-\xff"}',
    b"[" * 100_000,
    b"no json",
    answer("de-last"),
)
BLANK = 2
DUPLICATES = 1
REQUESTS = len(LINES) - BLANK - DUPLICATES
FILE = b"\n".join(LINES)  # the last line has no newline
