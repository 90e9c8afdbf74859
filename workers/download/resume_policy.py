"""What a download asks for next, and how far an answer is to be trusted. Pure.

The consumer can't give bytes back, so what it has is proven before more follows. A part (206) is
trusted when it is the one asked for and of the same version: by a strong ETag and the length, else
by an overlap that must be equal. A whole body (200) is trusted once it repeats all that the
consumer has. Any doubt about parts leads to a whole body.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import NamedTuple

from workers.download.source_digest import SourceDigest

OVERLAP_BYTES = 4096
CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
GZIP = (["gzip"], ["x-gzip"])


class Version(NamedTuple):
    """What tells one version of a file from another."""

    length: int | None = None  # bytes of the whole file, as the consumer gets it
    etag: str | None = None  # a strong one


UNKNOWN = Version()


@dataclass
class Received:
    """What the consumer of a download has so far, and what the answers said about it."""

    offset: int = 0  # bytes
    tail: bytes = b""  # the last bytes: at least OVERLAP_BYTES once there are as many
    digest: SourceDigest = field(default_factory=SourceDigest)  # of all bytes
    version: Version = UNKNOWN
    trusts_parts: bool = True
    ended_at: int | None = None  # where a body ended that did not say its length

    def add(self, chunk: bytes) -> None:
        """The consumer gets the next bytes."""
        self.digest.update(chunk)
        is_long = len(chunk) >= OVERLAP_BYTES
        self.tail = chunk if is_long else (self.tail + chunk)[-OVERLAP_BYTES:]
        self.offset += len(chunk)


class Request(NamedTuple):
    """What to ask for."""

    start: int = 0  # first byte; 0 asks for the whole file
    etag: str | None = None  # the part is wanted of this version alone, else the whole file

    @property
    def headers(self) -> dict[str, str]:
        headers = {"range": f"bytes={self.start}-"} if self.start else {}
        return headers | ({"if-range": self.etag} if self.start and self.etag else {})


class Body(NamedTuple):
    """A body that can be used: its first `repeated` bytes must equal the last ones received."""

    repeated: int
    version: Version
    size: int | None = None  # of a part: more bytes than this are a fault
    is_packed: bool = False  # by gzip


class PartDoubt(NamedTuple):
    """Parts are no longer trusted: ask for the whole file."""

    cause: str


class UnknownCoding(NamedTuple):
    """The body was encoded in a way that nobody asked for: it is of no use."""

    codings: str


class Refusal(NamedTuple):
    """The answer does not hold the file; its body says why."""


class End(NamedTuple):
    """The file is complete."""

    is_proven: bool  # False: two bodies ended here, but neither said its length


class EarlyEnd(NamedTuple):
    """The body ended, but the file may go on: ask for the rest."""

    cause: str
    ended_at: int | None = None  # to be remembered in `Received`


def plan_request(received: Received) -> Request:
    """What to ask for: the rest where a part can be proven, else the whole file."""
    if not received.trusts_parts:
        return Request()
    is_provable = None not in received.version
    overlap = 0 if is_provable else min(len(received.tail), OVERLAP_BYTES)
    return Request(received.offset - overlap, received.version.etag)


def judge_answer(
    received: Received, start: int, status: int, headers: Mapping[str, str]
) -> Body | PartDoubt | UnknownCoding | Refusal:
    """How to use the answer to a request from byte `start` on; names of headers in lower case."""
    match status:
        case HTTPStatus.OK:
            return _judge_whole(received, headers)
        case HTTPStatus.PARTIAL_CONTENT:
            return _judge_part(received, start, headers)
        case HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return PartDoubt("Gemini says that the file has no byte there")
    return Refusal()


def _judge_whole(received: Received, headers: Mapping[str, str]) -> Body | UnknownCoding:
    codings = parse_codings(headers)
    if not codings:
        length = headers.get("content-length")
        version = Version(int(length) if length else None, parse_strong_etag(headers))
        return Body(received.offset, version)
    if codings in GZIP:
        return Body(received.offset, UNKNOWN, is_packed=True)
    return UnknownCoding(", ".join(codings))


def _judge_part(received: Received, start: int, headers: Mapping[str, str]) -> Body | PartDoubt:
    span = parse_span(headers)
    if span is None or span.start != start or not start or parse_codings(headers):
        return PartDoubt("Gemini sent another part than was asked for")

    length, etag = received.version
    is_same_length = None in {length, span.total} or length == span.total
    is_same_etag = etag in {None, parse_strong_etag(headers)}
    if not (is_same_length and is_same_etag):
        return PartDoubt("Gemini sent a part of another version")
    version = Version(length if span.total is None else span.total, etag)
    return Body(received.offset - start, version, span.end - start)


def judge_end(received: Received, *, shows_end: bool, cut: str | None) -> End | EarlyEnd:
    """What the end of a body means.

    `shows_end` is what `shows_its_end` said of the answer; `cut` is why we cut the connection, if
    we did. A body without a length looks the same whole and cut: its end counts once a second body
    ends at the same byte.
    """
    length = received.version.length
    if length is not None:
        is_complete = received.offset == length
        early = EarlyEnd(f"it ended there, though {length} bytes were announced")
        return End(is_proven=True) if is_complete else early
    if shows_end:
        return End(is_proven=True)
    if cut:
        return EarlyEnd(cut)
    if received.ended_at != received.offset:
        return EarlyEnd("it ended without having said its length", received.offset)
    return End(is_proven=False)


class PartDoubtError(Exception):
    """A part can't be trusted; the message says why. Parts are no longer trusted from now on."""


class ChangedError(Exception):
    """What the consumer has is no longer the beginning of the file."""


class ShortBodyError(Exception):
    """The body ended within what the consumer has already."""


def take_fresh(received: Received, body: Body, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """What follows the repeated bytes, once these are proven to be the last ones received.

    The version of the answer counts from then on: before, it may be that of another file. Raises
    PartDoubtError, ChangedError and ShortBodyError.
    """
    left, repeated = body.repeated, hashlib.sha256()
    is_whole = left == received.offset
    expected = received.digest.copy() if is_whole else hashlib.sha256(received.tail[-left:])
    if not left:
        received.version = body.version

    for chunk in chunks if body.size is None else _limit(chunks, body.size):
        if not left:
            yield chunk
            continue
        repeated.update(chunk[:left])
        fresh, left = chunk[left:], max(0, left - len(chunk))
        if left:
            continue
        if repeated.digest() != expected.digest():
            if is_whole:
                raise ChangedError
            raise PartDoubtError("Gemini sent a part of another version")
        received.version = body.version
        if fresh:
            yield fresh

    if left:
        raise ShortBodyError


def _limit(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    for chunk in chunks:
        size -= len(chunk)
        if size < 0:
            raise PartDoubtError("Gemini sent more than the part that it announced")
        yield chunk


class Span(NamedTuple):
    """The part of a file that an answer says it holds."""

    start: int  # its first byte
    end: int  # the byte after its last
    total: int | None  # size of the file; None where the server does not know it


def parse_span(headers: Mapping[str, str]) -> Span | None:
    """The Content-Range, or None where there is none that makes sense."""
    match = CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
    if not match:
        return None
    span = Span(int(match[1]), int(match[2]) + 1, None if match[3] == "*" else int(match[3]))
    is_sound = span.start < span.end and (span.total is None or span.end <= span.total)
    return span if is_sound else None


def parse_strong_etag(headers: Mapping[str, str]) -> str | None:
    """The ETag when equal ETags mean equal bytes; weak ones promise less."""
    etag = headers.get("etag", "")
    return etag if etag.startswith('"') else None


def parse_codings(headers: Mapping[str, str]) -> list[str]:
    """What was done to the body's bytes, in lower case; usually nothing."""
    codings = [one.strip().lower() for one in headers.get("content-encoding", "").split(",")]
    return [coding for coding in codings if coding not in ("", "identity")]


def shows_its_end(status: int, headers: Mapping[str, str]) -> bool:
    """Whether a whole body that was cut can't look whole.

    The HTTP client checks a body with a length or with chunks, and gzip has a trailer.
    """
    is_framed = "content-length" in headers or "transfer-encoding" in headers
    return status == HTTPStatus.OK and (is_framed or bool(parse_codings(headers)))
