"""Answers to requests that are refused before they are whole."""

import http
import json
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE


class RefusedError(Exception):
    """A request that is refused; the text says why."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


def unwrap(error: Exception) -> RefusedError:
    """The error of our callback, which httptools wraps; else the parser's own message.

    Neither quotes the sender.
    """
    if isinstance(error.__context__, RefusedError):
        return error.__context__
    # Nothing else makes uvicorn's callbacks fail.
    is_target = isinstance(error, httptools.HttpParserCallbackError)
    return RefusedError("the request's target is malformed" if is_target else str(error))


def refusal(status: int, reason: str, default_headers: list[tuple[bytes, bytes]]) -> bytes:
    """A whole answer in HTTP/1.1 that says why, after which the connection ends."""
    body = json.dumps({"error": reason}).encode()
    fields: list[tuple[bytes, Any]] = [
        *default_headers,
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
        *([(b"retry-after", b"5")] if status == http.HTTPStatus.SERVICE_UNAVAILABLE else []),
    ]
    return b"".join(
        (STATUS_LINE[status], *(b"%b: %b\r\n" % field for field in fields), b"\r\n", body)
    )
