"""Reads what the head of an answer to a file's download says."""

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from receiver.errors import GeminiError
from receiver.gemini.transport import MAX_REFUSAL_BYTES, read_file_error
from receiver.http import httpx

CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")


class Span(NamedTuple):
    """The part of a file that an answer says it holds."""

    start: int  # its first byte
    end: int  # the byte after its last
    total: int | None  # size of the file; None where the server does not know it


def parse_span(response: httpx.Response) -> Span | None:
    """The Content-Range, or None where there is none that makes sense."""
    match = CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
    if not match:
        return None
    span = Span(int(match[1]), int(match[2]) + 1, None if match[3] == "*" else int(match[3]))
    is_sound = span.start < span.end and (span.total is None or span.end <= span.total)
    return span if is_sound else None


def parse_strong_etag(response: httpx.Response) -> str | None:
    """The ETag when equal ETags mean equal bytes; weak ones promise less."""
    etag: str = response.headers.get("etag", "")
    return etag if etag.startswith('"') else None


def parse_codings(response: httpx.Response) -> list[str]:
    """What was done to the body's bytes, in lower case; empty as a rule."""
    codings = [
        coding.strip().lower() for coding in response.headers.get("content-encoding", "").split(",")
    ]
    return [coding for coding in codings if coding not in ("", "identity")]


def shows_its_end(response: httpx.Response) -> bool:
    """Whether a whole body that was cut can't look whole: by its frame, which httpx checks, or by gzip's trailer."""
    is_framed = "content-length" in response.headers or "transfer-encoding" in response.headers
    return response.status_code == httpx.codes.OK and (is_framed or bool(parse_codings(response)))


def read_refusal(response: httpx.Response, raw: Iterable[bytes], name: str) -> GeminiError:
    """The error that an answer without the file means. Of a body that may be endless, the beginning is read."""
    body = b""
    with suppress(httpx.TransportError):
        for chunk in raw:
            body += chunk
            if len(body) > MAX_REFUSAL_BYTES:
                break
    headers = {name: value for name, value in response.headers.items() if name == "retry-after"}
    answer = httpx.Response(
        response.status_code, headers=headers, content=body, request=response.request
    )
    return read_file_error(answer, name)
