import resource
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.outputs.outcomes import Outcome
from tests.workers.storing import NO_SCRATCH
from workers.results import key_set
from workers.results.key_set import (
    BLOCK_BYTES,
    RECENT_KEYS,
    SHARES,
    KeyList,
    KeySet,
    digest_key,
    key_token,
    read_shares,
)
from workers.results.result_counts import ResultCounts
from workers.results.rules import Result


@pytest.fixture
def keys(tmp_path: Path) -> KeySet:
    return KeySet(tmp_path)


def numbered(count: int, start: int = 0) -> Iterator[str]:
    return (f"{number:08}" for number in range(start, start + count))


@pytest.mark.parametrize("key", ["", "k", "x" * 31, "x" * 32, "\n", "\0", "ä", "\ud800", "\xff"])
def test_key_is_found_again_in_memory_and_in_the_file(keys: KeySet, key: str) -> None:
    token = key_token(key)
    assert token not in keys
    assert keys.add(token)
    assert not keys.add(token)
    keys.spill()
    assert not keys.add(token)
    assert token in keys


def test_no_part_of_keys_is_taken_for_a_key(keys: KeySet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the filter proves nothing, and all keys are in the same share."""
    monkeypatch.setattr(key_set, "_FILTER_MASK", 0)
    monkeypatch.setattr(key_set, "_SHARE_MASK", 0)
    whole = ["abc", "bcd", "de", "f"]
    assert all(map(keys.add, whole))
    keys.spill()
    parts = ["ab", "bc", "cd", "bcdde", "cdde", "d", "e", "ef", "", "abcb", "a"]
    assert [token for token in (*parts, *whole) if token in keys] == whole


def test_digest_is_no_short_key() -> None:
    digest = digest_key("x" * 32)
    assert key_token("x" * 32) == digest
    assert key_token(digest) != digest
    assert len({key_token(key) for key in ("\ud800", "\ud801", "?", "ä")}) == 4


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tokens=st.lists(st.integers(0, 40).map(lambda n: key_token("k" * n))),
    cuts=st.sets(st.integers(0, 99)),
)
def test_same_as_a_set(tmp_path: Path, tokens: list[str], cuts: set[int]) -> None:
    """Wherever the keys in memory are moved to the file."""
    keys, expected = KeySet(tmp_path), set[str]()
    for number, token in enumerate(tokens):
        if number in cuts:
            keys.spill()
        assert (token in keys) is (token in expected)
        assert keys.add(token) is (token not in expected)
        expected.add(token)
    assert {token for (share,) in read_shares(keys) for token in share} == expected


def test_far_apart_duplicates_are_found_among_many(tmp_path: Path) -> None:
    counts, count = ResultCounts(tmp_path), 5 * RECENT_KEYS
    new = [counts.add(Result(key, Outcome.OK)) for key in numbered(count)]
    again = [counts.add(Result(key, Outcome.ERROR)) for key in numbered(count // 2, count // 4)]
    assert (set(new), set(again)) == ({Outcome.OK}, {Outcome.DUPLICATE})
    assert counts.answered("00000000")
    assert not counts.answered("x")


def test_malformed_lines_leave_their_keys_free_in_the_file(tmp_path: Path) -> None:
    counts, count = ResultCounts(tmp_path), 2 * RECENT_KEYS
    for outcome in (Outcome.MALFORMED, Outcome.OK):
        assert {counts.add(Result(key, outcome)) for key in numbered(count)} == {outcome}
    for outcome in (Outcome.MALFORMED, Outcome.OK):
        assert counts.add(Result("00000007", outcome)) is Outcome.DUPLICATE


@pytest.mark.parametrize("width", [31, 36])
def test_memory_does_not_grow_with_the_keys(tmp_path: Path, width: int) -> None:
    peaks = []
    for count in (1, 3):
        keys = KeySet(tmp_path)
        tracemalloc.start()
        for number in range(count * RECENT_KEYS + RECENT_KEYS // 2):
            keys.add(key_token(f"{number:0{width}}"))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.02 * peaks[0] < 12_000_000


def test_few_keys_need_no_file() -> None:
    few, more = KeyList(NO_SCRATCH), KeySet(NO_SCRATCH)
    for token in numbered(RECENT_KEYS - 1):
        few.append(token)
        more.add(token)
    assert [few.has_file, more.has_file] == [False, False]


def test_lists_are_read_share_by_share(tmp_path: Path) -> None:
    large, small = KeyList(tmp_path), KeyList(tmp_path)
    for token in numbered(2 * RECENT_KEYS):
        large.append(token)
        large.append(token)
    for token in ("00000001", "x"):
        small.append(token)
    both, sizes = set[str](), []
    for wanted, had in read_shares(small, large):
        both |= wanted & had
        sizes.append(len(had))
    assert both == {"00000001"}
    assert sum(sizes) == 2 * RECENT_KEYS


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Files take so many bytes, and no more."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("size", [0, 5, BLOCK_BYTES * (SHARES - 1) + 5])
def test_full_scratch_disk_is_an_error(keys: KeySet, size: int) -> None:
    """Also where the start of what is written has room."""
    for token in numbered(RECENT_KEYS - 1):
        keys.add(token)
    with room_for(size), pytest.raises(OSError, match=r"File too large|No space left"):
        keys.add("x")


def test_share_of_several_blocks_is_read_whole(
    keys: KeySet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys lie across the ends of blocks, and the blocks of other shares between them."""
    monkeypatch.setattr(key_set, "_SHARE_MASK", 1)
    wanted = set(numbered(2 * BLOCK_BYTES))
    for number, token in enumerate(sorted(wanted)):
        keys.add(token)
        if number % 100 == 0:
            keys.spill()
    shares = [share for (share,) in read_shares(keys) if share]
    assert len(shares) == 2
    assert shares[0] | shares[1] == wanted
    assert all(token in keys for token in wanted)


def test_file_is_no_larger_than_its_keys_need(tmp_path: Path) -> None:
    """Parts of it that are far apart would take long to write and to free."""
    keys = KeySet(tmp_path)
    for token in numbered(RECENT_KEYS):
        keys.add(token)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_size <= SHARES * BLOCK_BYTES
