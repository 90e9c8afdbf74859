"""What a download asks for next, and how far an answer is to be trusted, as tables."""

import hashlib
from collections.abc import Mapping

import pytest

from workers.download.resume_policy import (
    OVERLAP_BYTES,
    UNKNOWN,
    Body,
    ChangedError,
    EarlyEnd,
    End,
    PartDoubt,
    PartDoubtError,
    Received,
    Refusal,
    Request,
    ShortBodyError,
    Span,
    UnknownCoding,
    Version,
    judge_answer,
    judge_end,
    parse_codings,
    parse_span,
    parse_strong_etag,
    plan_request,
    shows_its_end,
    take_fresh,
)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("bytes 5-9/10", Span(5, 10, 10)),
        ("bytes 5-9/*", Span(5, 10, None)),
        ("bytes 5-4/10", None),
        ("bytes 5-9/9", None),
        ("bytes */10", None),
        ("bytes=5-9/10", None),
        ("bytes 5-9", None),
        ("", None),
        (f"bytes 0-{'9' * 5000}/*", None),
    ],
)
def test_span_is_read_strictly(text: str, span: Span | None) -> None:
    assert parse_span({"content-range": text}) == span


@pytest.mark.parametrize(
    ("text", "etag"), [('"a"', '"a"'), ('W/"a"', None), ("a", None), ("", None)]
)
def test_only_strong_etags_count(text: str, etag: str | None) -> None:
    assert parse_strong_etag({"etag": text}) == etag


@pytest.mark.parametrize(
    ("text", "codings"),
    [("", []), ("Identity", []), ("GZIP", ["gzip"]), ("br, gzip", ["br", "gzip"])],
)
def test_codings_are_listed(text: str, codings: list[str]) -> None:
    assert parse_codings({"content-encoding": text}) == codings


@pytest.mark.parametrize(
    ("status", "headers", "shows"),
    [
        (200, {"content-length": "5"}, True),
        (200, {"transfer-encoding": "chunked"}, True),
        (200, {"content-encoding": "gzip"}, True),
        (200, {}, False),
        (206, {"content-length": "5"}, False),
    ],
)
def test_frame_shows_the_end(status: int, headers: dict[str, str], *, shows: bool) -> None:
    assert shows_its_end(status, headers) == shows


LONG = bytes(range(256)) * 40  # over two overlaps
ETAG = '"v1"'
KNOWN = Version(len(LONG), ETAG)


def received(
    data: bytes = b"",
    version: Version = UNKNOWN,
    *,
    trusts_parts: bool = True,
    ended_at: int | None = None,
) -> Received:
    state = Received(version=version, trusts_parts=trusts_parts, ended_at=ended_at)
    if data:
        state.add(data)
    return state


@pytest.mark.parametrize(
    ("state", "request_", "headers"),
    [
        (received(), Request(0, None), {}),
        (received(b"", KNOWN), Request(0, ETAG), {}),
        (
            received(LONG[:5000], KNOWN),
            Request(5000, ETAG),
            {"range": "bytes=5000-", "if-range": ETAG},
        ),
        (
            received(LONG[:5000], Version(None, ETAG)),
            Request(5000 - OVERLAP_BYTES, ETAG),
            {"range": "bytes=904-", "if-range": ETAG},
        ),
        (
            received(LONG[:5000], Version(len(LONG), None)),
            Request(5000 - OVERLAP_BYTES, None),
            {"range": "bytes=904-"},
        ),
        (received(LONG[:4000]), Request(0, None), {}),
        (received(LONG[:5000], KNOWN, trusts_parts=False), Request(0, None), {}),
    ],
    ids=[
        "nothing yet",
        "nothing of a known version",
        "the rest of a known version",
        "no length: an overlap",
        "no ETag: an overlap",
        "less than an overlap: the whole",
        "no trust in parts: the whole",
    ],
)
def test_request_asks_for_what_can_be_proven(
    state: Received, request_: Request, headers: dict[str, str]
) -> None:
    assert plan_request(state) == request_
    assert request_.headers == headers


@pytest.mark.parametrize("size", [1, 1000, OVERLAP_BYTES, OVERLAP_BYTES + 1])
def test_what_came_in_pieces_is_remembered(size: int) -> None:
    state = Received()
    for start in range(0, len(LONG), size):
        state.add(LONG[start : start + size])
    assert state.offset == len(LONG)
    assert state.digest.copy().digest() == hashlib.sha256(LONG).digest()
    assert len(state.tail) >= OVERLAP_BYTES
    assert LONG.endswith(state.tail)


def test_whole_body_repeats_what_came_in_pieces() -> None:
    state = Received()
    for start in range(0, 5000, 1000):
        state.add(LONG[start : start + 1000])
    assert b"".join(take_fresh(state, Body(5000, KNOWN), [LONG])) == LONG[5000:]


HALF = received(LONG[:5000], KNOWN)
UNKNOWN_HALF = received(LONG[:5000])
ANOTHER_PART = PartDoubt("Gemini sent another part than was asked for")
ANOTHER_VERSION = PartDoubt("Gemini sent a part of another version")
MORE_THAN_ANNOUNCED = "Gemini sent more than the part that it announced"


@pytest.mark.parametrize(
    ("state", "start", "status", "headers", "verdict"),
    [
        (received(), 0, 200, {"content-length": "7"}, Body(0, Version(7, None))),
        (received(), 0, 200, {"etag": ETAG}, Body(0, Version(None, ETAG))),
        (HALF, 5000, 200, {"content-length": "7"}, Body(5000, Version(7, None))),
        (
            received(),
            0,
            200,
            {"content-encoding": "gzip", "content-length": "7"},
            Body(0, Version(), is_packed=True),
        ),
        (received(), 0, 200, {"content-encoding": "br, gzip"}, UnknownCoding("br, gzip")),
        (
            HALF,
            5000,
            206,
            {"content-range": "bytes 5000-10239/10240", "etag": ETAG},
            Body(0, KNOWN, 5240),
        ),
        (
            HALF,
            5000,
            206,
            {"content-range": "bytes 5000-5999/*", "etag": ETAG},
            Body(0, KNOWN, 1000),
        ),
        (
            UNKNOWN_HALF,
            904,
            206,
            {"content-range": "bytes 904-9999/10000"},
            Body(4096, Version(10000, None), 9096),
        ),
        (HALF, 5000, 206, {"content-range": "bytes 5001-10239/10240", "etag": ETAG}, ANOTHER_PART),
        (HALF, 5000, 206, {"etag": ETAG}, ANOTHER_PART),
        (received(), 0, 206, {"content-range": "bytes 0-9/10"}, ANOTHER_PART),
        (
            HALF,
            5000,
            206,
            {
                "content-range": "bytes 5000-10239/10240",
                "etag": ETAG,
                "content-encoding": "gzip",
            },
            ANOTHER_PART,
        ),
        (
            HALF,
            5000,
            206,
            {"content-range": "bytes 5000-9999/10000", "etag": ETAG},
            ANOTHER_VERSION,
        ),
        (HALF, 5000, 206, {"content-range": "bytes 5000-10239/10240"}, ANOTHER_VERSION),
        (
            HALF,
            5000,
            206,
            {"content-range": "bytes 5000-10239/10240", "etag": f"W/{ETAG}"},
            ANOTHER_VERSION,
        ),
        (HALF, 5000, 416, {}, PartDoubt("Gemini says that the file has no byte there")),
        (HALF, 5000, 404, {}, Refusal()),
        (HALF, 5000, 204, {}, Refusal()),
    ],
)
def test_answer_is_judged(
    state: Received,
    start: int,
    status: int,
    headers: Mapping[str, str],
    verdict: Body | PartDoubt | UnknownCoding | Refusal,
) -> None:
    found = judge_answer(state, start, status, headers)
    assert (type(found), found) == (type(verdict), verdict)


@pytest.mark.parametrize(
    ("state", "shows_end", "cut", "verdict"),
    [
        (received(LONG, KNOWN), False, None, End(is_proven=True)),
        (
            received(LONG[:5000], KNOWN),
            True,
            None,
            EarlyEnd("it ended there, though 10240 bytes were announced"),
        ),
        (
            received(LONG + b"x", KNOWN),
            True,
            None,
            EarlyEnd("it ended there, though 10240 bytes were announced"),
        ),
        (received(LONG), True, None, End(is_proven=True)),
        (received(LONG), False, "too slow", EarlyEnd("too slow")),
        (
            received(LONG),
            False,
            None,
            EarlyEnd("it ended without having said its length", len(LONG)),
        ),
        (
            received(LONG, ended_at=5000),
            False,
            None,
            EarlyEnd("it ended without having said its length", len(LONG)),
        ),
        (received(LONG, ended_at=len(LONG)), False, None, End(is_proven=False)),
    ],
)
def test_end_is_judged(
    state: Received, *, shows_end: bool, cut: str | None, verdict: End | EarlyEnd
) -> None:
    found = judge_end(state, shows_end=shows_end, cut=cut)
    assert (type(found), found) == (type(verdict), verdict)


@pytest.mark.parametrize("size", [1, 7, 4096, 20_000])
@pytest.mark.parametrize(
    ("body", "data", "fresh"),
    [
        (Body(5000, KNOWN), LONG, LONG[5000:]),
        (Body(4096, KNOWN), LONG[904:], LONG[5000:]),
        (Body(0, KNOWN), LONG[5000:], LONG[5000:]),
        (Body(0, KNOWN, 5240), LONG[5000:], LONG[5000:]),
        (Body(5000, KNOWN), b"x" + LONG[1:], ChangedError),
        (Body(4096, KNOWN), b"x" + LONG[905:], PartDoubtError(ANOTHER_VERSION.cause)),
        (Body(0, KNOWN, 5239), LONG[5000:], PartDoubtError(MORE_THAN_ANNOUNCED)),
        (Body(5000, KNOWN), LONG[:4999], ShortBodyError),
    ],
    ids=[
        "whole",
        "overlap",
        "rest",
        "whole part",
        "another file",
        "another overlap",
        "more than announced",
        "less than repeated",
    ],
)
def test_only_proven_bytes_are_fresh(
    body: Body, data: bytes, fresh: bytes | type[Exception] | PartDoubtError, size: int
) -> None:
    state = received(LONG[:5000], Version(1, None))
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    taken = take_fresh(state, body, chunks)
    if isinstance(fresh, bytes):
        assert b"".join(taken) == fresh
        assert state.version == KNOWN
    else:
        kind, words = (fresh, "") if isinstance(fresh, type) else (type(fresh), str(fresh))
        with pytest.raises(kind, match=f"^{words}$"):
            list(taken)
        assert (state.version == KNOWN) == (body.size is not None)
