from dataclasses import replace

import pytest

from tests.chaos.download_faults import Figures, run_one
from tests.fault_proxy import Fault, Kind
from tests.result_server import Answer, Framing, Seen
from tests.workers.downloading import CONTENT, NAME, QUICK, Route, as_sent, says, start_of
from workers.download.download import Download
from workers.download.resume_policy import OVERLAP_BYTES


def test_whole_file_takes_one_request(route: Route) -> None:
    download = Download(route.gemini, NAME)
    assert b"".join(download.chunks()) == CONTENT
    assert download.offset == len(CONTENT)
    assert download.end_proven
    (request,) = route.server.seen
    assert request.path == f"/v1beta/{NAME}:download?alt=media"
    assert request.headers["accept-encoding"] == "identity"
    assert "range" not in request.headers


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("has_ranges", [True, False])
@pytest.mark.parametrize("content", [b"", b"x", b"one line\n"])
def test_tiny_files_arrive_whole(
    route: Route, *, framing: Framing, has_ranges: bool, content: bytes
) -> None:
    route.server.content, route.server.ranges, route.server.framing = content, has_ranges, framing
    assert route.read() == content


@pytest.mark.parametrize("kind", ["reset", "close"])
def test_break_resumes_at_its_byte(route: Route, kind: Kind) -> None:
    route.proxy.reset(Fault(kind, 100_000))
    download = route.download()
    received, offsets = b"", []
    for chunk in download.chunks():
        received += chunk
        offsets.append(download.offset)
    assert received == CONTENT
    _, start = route.starts()
    assert 0 < start < 100_000
    assert start in offsets
    assert route.server.seen[1].headers["if-range"].startswith('"')


def test_missing_etag_costs_an_overlap(route: Route) -> None:
    route.server.etag = False
    route.proxy.reset(Fault("reset", 100_000))
    download = route.download()
    received, offsets = b"", []
    for chunk in download.chunks():
        received += chunk
        offsets.append(download.offset)
    assert received == CONTENT
    assert route.starts()[1] + OVERLAP_BYTES in offsets
    assert "if-range" not in route.server.seen[1].headers


def test_break_after_last_byte_is_none(route: Route) -> None:
    def without_last_frame(_seen: Seen, answer: Answer) -> Answer:
        return replace(
            answer,
            headers={**answer.headers, "transfer-encoding": "chunked"},
            framing="close",
            body=framed,
        )

    framed = b"%x\r\n%b\r\n" % (len(CONTENT) - 100_000, CONTENT[100_000:])
    headers = {"content-range": f"bytes 100000-{len(CONTENT) - 1}/{len(CONTENT)}"}
    half = {"content-length": str(len(CONTENT))}
    route.server.faults.append(
        lambda _s, a: replace(a, headers={**a.headers, **half}, body=CONTENT[:100_000])
    )
    route.server.faults.append(
        lambda s, a: without_last_frame(s, replace(a, headers={**a.headers, **headers}))
    )
    download = route.download(replace(QUICK, tries=2))
    assert b"".join(download.chunks()) == CONTENT
    assert download.end_proven
    assert route.starts() == [0, 100_000]


def test_server_without_ranges_repeats_the_prefix(route: Route) -> None:
    route.server.ranges = False
    route.proxy.reset(Fault("reset", 150_000), Fault("close", 90_000), Fault("reset", 200_000))
    assert route.read() == CONTENT
    assert len(route.server.seen) == 4


@pytest.mark.parametrize("has_etag", [True, False])
@pytest.mark.parametrize("has_ranges", [True, False])
@pytest.mark.parametrize("grows_by", [0, -5, 5])
def test_changed_file_never_mixes(
    route: Route, *, has_etag: bool, has_ranges: bool, grows_by: int
) -> None:
    def change(_seen: Seen, answer: Answer) -> Answer:
        route.server.content = (bytes(reversed(CONTENT)) + b"12345")[: len(CONTENT) + grows_by]
        return answer

    route.server.etag, route.server.ranges = has_etag, has_ranges
    route.server.faults.append(change)
    route.proxy.reset(Fault("reset", 100_000))
    error = route.failure()
    assert error.retryable
    assert "changed while it was read" in str(error)
    assert len(route.server.seen) <= 3
    assert route.read() == route.server.content


def test_unproven_body_lends_no_etag(route: Route) -> None:
    """A whole body of another version breaks before it is proven: it must not vouch for a part."""

    def change(_seen: Seen, answer: Answer) -> Answer:
        route.server.content = bytes(reversed(CONTENT))
        return answer

    route.server.faults.append(change)
    route.proxy.reset(Fault("reset", 100_000), Fault("reset", 50_000))
    assert "changed while it was read" in str(route.failure())


def test_unproven_body_lends_no_length(route: Route) -> None:
    """A broken body whose announced length is what was given so far must not end the download."""
    given = 0

    def change(_seen: Seen, answer: Answer) -> Answer:
        route.server.content = b"x" * given
        return replace(answer, headers={"content-length": str(given)}, body=b"x" * (given // 2))

    route.server.etag, route.server.ranges = False, False
    route.server.faults.extend([as_sent, change])
    route.proxy.reset(Fault("reset", 100_000))
    received = b""
    with pytest.raises(Exception, match="changed while it was read"):  # noqa: PT012 - what came before counts
        for chunk in route.download().chunks():
            received += chunk
            given = len(received)
    assert 0 < given < 100_000


def test_grown_file_with_equal_beginning_passes(route: Route) -> None:
    def grow(_seen: Seen, answer: Answer) -> Answer:
        route.server.content = CONTENT + b"more\n"
        return answer

    route.server.faults.append(grow)
    route.proxy.reset(Fault("reset", 100_000))
    assert route.read() == CONTENT + b"more\n"


WRONG_RANGES = [
    "bytes 7-99/100",
    "bytes 0-{end}/{size}",
    "lines 1-2/3",
    "bytes {start}-{end}/{more}",
    "",
    "bytes */9",
]


@pytest.mark.parametrize("wrong", WRONG_RANGES)
def test_wrong_range_leads_to_the_whole(route: Route, wrong: str) -> None:
    def mislabel(seen: Seen, answer: Answer) -> Answer:
        size = len(CONTENT)
        text = wrong.format(start=start_of(seen), end=size - 1, size=size, more=size + 1)
        return replace(answer, headers={**answer.headers, "content-range": text})

    route.server.faults.extend([as_sent, mislabel])
    route.proxy.reset(Fault("reset", 100_000))
    assert route.read() == CONTENT
    assert route.starts()[2] == 0


def test_wrong_bytes_in_right_range_are_found(route: Route) -> None:
    route.server.etag = False
    route.server.faults.extend(
        [as_sent, lambda _seen, answer: replace(answer, body=answer.body[1:] + b"!")]
    )
    route.proxy.reset(Fault("reset", 100_000))
    assert route.read() == CONTENT


def test_part_without_etag_is_not_trusted(route: Route) -> None:
    route.server.faults.extend(
        [as_sent, lambda _s, a: replace(a, headers=a.headers | {"etag": 'W/"weak"'})]
    )
    route.proxy.reset(Fault("reset", 100_000))
    assert route.read() == CONTENT
    assert route.starts()[2] == 0


def test_overlong_part_is_not_trusted(route: Route) -> None:
    excess = b"excess" * 20_000
    route.server.faults.extend(
        [as_sent, lambda _s, a: replace(a, body=a.body + excess, framing="chunked")]
    )
    route.proxy.reset(Fault("reset", 100_000))
    assert route.read() == CONTENT


def test_short_parts_are_put_together(route: Route) -> None:
    def some(seen: Seen, answer: Answer) -> Answer:
        start = start_of(seen)
        text = f"bytes {start}-{start + 49_999}/{len(CONTENT)}"
        return replace(
            answer, headers={**answer.headers, "content-range": text}, body=CONTENT[start:][:50_000]
        )

    route.server.faults.extend([as_sent, some, some])
    route.proxy.reset(Fault("reset", 100_000))
    assert route.read() == CONTENT
    assert len(route.server.seen) == 4


def test_unasked_part_is_no_file(route: Route) -> None:
    headers = {"content-range": "bytes 0-98/99"}
    route.server.faults.append(lambda _s, _a: Answer(206, headers, CONTENT[:99]))
    assert route.read() == CONTENT


def test_refused_range_leads_to_the_whole(route: Route) -> None:
    route.server.faults.extend([as_sent, says(416, content_range=f"bytes */{len(CONTENT)}")])
    route.proxy.reset(Fault("reset", 100_000))
    assert route.read() == CONTENT
    assert route.starts()[2] == 0


@pytest.mark.parametrize("has_etag", [True, False])
@pytest.mark.parametrize("has_ranges", [True, False])
def test_cut_without_length_is_noticed(route: Route, *, has_etag: bool, has_ranges: bool) -> None:
    route.server.framing, route.server.etag, route.server.ranges = "close", has_etag, has_ranges
    route.proxy.reset(Fault("close", 100_000))
    download = route.download()
    assert b"".join(download.chunks()) == CONTENT
    assert download.end_proven == has_ranges


def test_end_without_length_is_asked_again(route: Route) -> None:
    route.server.framing = "close"
    assert route.read() == CONTENT
    assert route.starts() == [0, len(CONTENT) - OVERLAP_BYTES]


def test_earlier_cut_confirms_no_end(route: Route) -> None:
    """A second body that ends before the first one's cut says nothing about the end."""
    route.server.framing, route.server.ranges = "close", False
    route.server.faults.append(lambda _s, a: replace(a, body=a.body[:100_000]))
    route.server.faults.append(lambda _s, a: replace(a, body=a.body[:50_000]))
    assert route.read() == CONTENT


def test_two_equal_cuts_stay_unproven(route: Route) -> None:
    route.server.framing, route.server.ranges = "close", False
    route.server.faults.extend([lambda _s, a: replace(a, body=a.body[:5_000])] * 2)
    download = route.download()
    assert b"".join(download.chunks()) == CONTENT[:5_000]
    assert not download.end_proven


def test_length_beyond_the_frames_is_refused(route: Route) -> None:
    length = {"content-length": str(len(CONTENT) + 1)}
    route.server.framing, route.server.ranges = "chunked", False
    route.server.faults.extend([lambda _s, a: replace(a, headers=a.headers | length)] * QUICK.tries)
    assert route.failure().retryable


def test_random_faults_corrupt_nothing(route: Route) -> None:
    figures = Figures()
    for number in range(60):
        run_one(f"ci-{number}", route.server, route.proxy, figures)
    assert (figures.corrupt, figures.stuck) == ([], [])
    assert figures.complete == 60
