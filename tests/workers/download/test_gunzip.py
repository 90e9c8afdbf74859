import gzip
import random
from collections import deque

import pytest

from receiver.errors import DownloadError
from tests.fault_proxy import Fault
from tests.result_server import Answer, Seen
from tests.workers.downloading import CONTENT, Route
from workers.download.gunzip import gunzip

PACKED = gzip.compress(CONTENT, 6)


def in_pieces(data: bytes, rng: random.Random) -> list[bytes]:
    pieces = []
    while data:
        size = rng.choice([1, 7, 100, 4_000, 60_000])
        pieces.append(data[:size])
        data = data[size:]
    return pieces


@pytest.mark.parametrize("seed", range(5))
def test_any_pieces_give_the_same(seed: int) -> None:
    assert b"".join(gunzip(in_pieces(PACKED, random.Random(seed)), "files/a")) == CONTENT


def test_members_follow_each_other() -> None:
    packed = gzip.compress(b"") + gzip.compress(b"one\n") + gzip.compress(b"two\n")
    assert b"".join(gunzip([packed], "files/a")) == b"one\ntwo\n"
    assert (
        b"".join(gunzip([packed[n : n + 1] for n in range(len(packed))], "files/a"))
        == b"one\ntwo\n"
    )


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 131_072, 300_000])
def test_even_bytes_leave_nothing_inside(size: int) -> None:
    packed = gzip.compress(bytes(size))
    assert b"".join(gunzip([packed], "files/a")) == bytes(size)
    assert b"".join(gunzip([packed[:-8], packed[-8:]], "files/a")) == bytes(size)


def test_pieces_stay_small() -> None:
    assert (
        max(len(piece) for piece in gunzip([gzip.compress(bytes(10_000_000))], "files/a"))
        == 64 * 1024
    )


@pytest.mark.parametrize("length", [0, 5, 18, len(PACKED) // 2, len(PACKED) - 1])
def test_short_gzip_is_a_passing_fault(length: int) -> None:
    with pytest.raises(DownloadError, match="ends early") as caught:
        list(gunzip([PACKED[:length]], "files/a"))
    assert caught.value.retryable


def test_damaged_gzip_is_a_passing_fault() -> None:
    damaged = PACKED[:5_000] + bytes([PACKED[5_000] ^ 1]) + PACKED[5_001:]
    with pytest.raises(DownloadError, match="broken gzip") as caught:
        list(gunzip([damaged], "files/a"))
    assert caught.value.retryable


def test_gzip_is_undone_unasked(route: Route) -> None:
    route.server.encoding = "gzip"
    assert route.read() == CONTENT


def test_broken_gzip_starts_from_zero(route: Route) -> None:
    route.server.encoding = "gzip"
    route.proxy.reset(Fault("reset", len(PACKED) // 2), Fault("close", len(PACKED) * 3 // 4))
    assert route.read() == CONTENT
    assert route.starts() == [0, 0, 0]


def test_cut_gzip_without_length_is_noticed(route: Route) -> None:
    route.server.encoding, route.server.framing = "gzip", "close"
    route.proxy.reset(Fault("close", len(PACKED) // 2))
    assert route.read() == CONTENT


def test_gzip_after_plain_continues(route: Route) -> None:
    def pack_from_now_on(_seen: Seen, answer: Answer) -> Answer:
        route.server.encoding = "gzip"
        return answer

    route.server.faults.append(pack_from_now_on)
    route.proxy.reset(Fault("reset", 100_000))
    assert route.read() == CONTENT


def test_bomb_is_refused_for_good(route: Route) -> None:
    route.server.content, route.server.encoding = bytes(66 * 1024 * 1024), "gzip"
    download = route.download()
    with pytest.raises(DownloadError, match="refused as a bomb") as caught:
        deque(download.chunks(), maxlen=0)
    assert not caught.value.retryable
    assert download.offset <= 64 * 1024 * 1024
