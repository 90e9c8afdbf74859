import resource
import tracemalloc
from collections import defaultdict
from pathlib import Path
from random import Random

import pytest

from receiver.errors import LeaseLostError
from receiver.storage import LocalStorage
from tests.system_calls import Run, folder_in_memory, require_strace, run_traced
from workers.store import sinks
from workers.store.sinks import (
    ALL_GROUPS_BYTES,
    GROUP_BYTES,
    OBJECT_BATCH_BYTES,
    OPEN_FILES,
    OWN_FILE_BYTES,
    GroupSink,
)

KIB = 1024


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "outputs")


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


class Checked:
    """A sink, and what must be in the storage."""

    def __init__(
        self, storage: LocalStorage, scratch: Path, memory_bytes: int = ALL_GROUPS_BYTES
    ) -> None:
        self.storage, self.expected = storage, defaultdict[str, bytearray](bytearray)
        self.sink = GroupSink(storage, lambda: None, scratch, memory_bytes)

    def write(self, name: str, line: bytes) -> None:
        assert self.sink.write(name, line) == len(self.expected[name])
        self.expected[name] += line + b"\n"

    def close(self) -> None:
        self.sink.close()
        self.sink.stop()
        assert set(self.storage.list_names("")) == set(self.expected)
        for name, data in self.expected.items():
            assert self.storage.read(name) == bytes(data), name
        sizes = [len(data) for data in self.expected.values()]
        assert (self.sink.objects, self.sink.size_bytes) == (len(sizes), sum(sizes))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("memory_bytes", [1, 20 * KIB, 200 * KIB, ALL_GROUPS_BYTES])
def test_groups_keep_the_order_of_their_lines(
    storage: LocalStorage, scratch: Path, memory_bytes: int, seed: int
) -> None:
    """Small groups and large ones, also such as change from one to the other."""
    dice, checked = Random(seed), Checked(storage, scratch, memory_bytes)
    sizes = (0, 1, 50, 3_000, OWN_FILE_BYTES, GROUP_BYTES)
    for number in range(300):
        group = dice.choice((number % 7, number // 40 % 5, dice.randint(0, 200)))
        size = dice.choices(sizes, (1, 1, 30, 10, 1, 1))[0]
        checked.write(f"b/{group}.jsonl", b"%d" % number * (size // 3))
    checked.close()


def test_many_small_groups_share_a_file(storage: LocalStorage, scratch: Path) -> None:
    checked = Checked(storage, scratch, 100 * KIB)
    for number in range(3_000):
        checked.write(f"b/{number % 500}.jsonl", b"%d" % number)
    assert [path.name for path in scratch.iterdir()] == ["groups"]
    checked.close()


def test_more_large_groups_than_open_files(storage: LocalStorage, scratch: Path) -> None:
    checked, count = Checked(storage, scratch), OPEN_FILES + 9
    for number in range(2 * count):
        checked.write(f"b/{number % count}.jsonl", b"%d" % number * 40 * KIB)
    assert len(list(scratch.iterdir())) == count
    checked.close()


def test_large_group_leaves_small_ones_in_memory(storage: LocalStorage, scratch: Path) -> None:
    checked = Checked(storage, scratch)
    checked.write("b/small.jsonl", b"waits")
    for _ in range(ALL_GROUPS_BYTES // GROUP_BYTES + 1):
        checked.write("b/large.jsonl", b"x" * GROUP_BYTES)
    checked.write("b/small.jsonl", b"waits too")
    assert [path.name for path in scratch.iterdir()] == ["group-1"]
    checked.close()


def test_group_that_grows_in_the_shared_file(storage: LocalStorage, scratch: Path) -> None:
    checked = Checked(storage, scratch, 100 * KIB)
    checked.write("b/grows.jsonl", b"small")
    checked.write("b/other.jsonl", b"x" * 100 * KIB)
    for number in range(OBJECT_BATCH_BYTES // (200 * KIB) + 1):
        checked.write("b/grows.jsonl", b"%d" % (number % 10) * 200 * KIB)
    checked.write("b/other.jsonl", b"last")
    checked.close()


def test_no_line_makes_no_object(storage: LocalStorage, scratch: Path) -> None:
    Checked(storage, scratch).close()


def test_lines_that_wait_take_bounded_memory(storage: LocalStorage, scratch: Path) -> None:
    sink = GroupSink(storage, lambda: None, scratch, 1_000_000)
    for number in range(10_000):
        sink.write(f"b/{number}.jsonl", b"")
    tracemalloc.start()
    for number in range(40_000):
        sink.write(f"b/{number % 10_000}.jsonl", b"%d" % number * 10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    sink.stop()
    assert peak < 4_000_000


@pytest.mark.parametrize("line", [b"x" * GROUP_BYTES, b"x"])
def test_lost_lease_stops_before_outputs_are_stored(
    storage: LocalStorage, scratch: Path, line: bytes
) -> None:
    def lost() -> None:
        raise LeaseLostError("lost")

    sink = GroupSink(storage, lost, scratch)
    sink.write("b/a.jsonl", line)
    with pytest.raises(LeaseLostError):
        sink.close()
    sink.stop()
    assert storage.list_names("") == []


@pytest.mark.parametrize("room", [0, 10])
@pytest.mark.parametrize("size", [GROUP_BYTES, 100])
def test_full_scratch_disk_is_an_error(
    storage: LocalStorage, scratch: Path, room: int, size: int
) -> None:
    """Also where the start of what is written has room."""
    sink, limits = GroupSink(storage, lambda: None, scratch), resource.RLIMIT_FSIZE
    before = resource.getrlimit(limits)
    resource.setrlimit(limits, (room, before[1]))
    try:
        with pytest.raises(OSError, match=r"File too large|No space left"):
            _write_all(sink, b"x" * size)
    finally:
        resource.setrlimit(limits, before)
        sink.stop()
    assert storage.list_names("") == []


def _write_all(sink: GroupSink, line: bytes) -> None:
    sink.write("b/a.jsonl", line)
    sink.close()


def write_large_groups(root: Path, scratch: Path) -> None:
    """With a flush after every few writes."""
    sinks.EARLY_FLUSH_BYTES = 4 * GROUP_BYTES
    sink = GroupSink(LocalStorage(root), lambda: None, scratch)
    for number in range(40):
        sink.write(f"b/{number % 8}.jsonl", b"x" * GROUP_BYTES)
    sink.close()
    sink.stop()


def count_flushes(run: Run) -> int:
    return sum(call.name == "syncfs" for call in run.calls)


def test_disk_writes_while_lines_gather() -> None:
    require_strace()
    with folder_in_memory() as folder:
        scratch = folder / "scratch"
        scratch.mkdir()
        run = run_traced(write_large_groups, folder / "outputs", scratch)
    assert run.error is None
    assert count_flushes(run) > 1


def test_lost_write_that_only_the_early_flush_tells_is_an_error() -> None:
    require_strace()
    with folder_in_memory() as folder:
        scratch, outputs = folder / "scratch", folder / "outputs"
        scratch.mkdir()
        fault = "syncfs:error=EIO:when=1"
        run = run_traced(write_large_groups, outputs, scratch, inject=(fault,))
        assert (run.kind, run.retryable) == ("StorageError", True)
        assert str(scratch) in str(run.error)
        assert not (outputs / "b").exists()


def test_scratch_on_another_disk_is_not_flushed(tmp_path: Path) -> None:
    """It holds nothing that has to last: its files are copied."""
    require_strace()
    with folder_in_memory() as scratch:
        if scratch.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("there is only one disk here")
        run = run_traced(write_large_groups, tmp_path / "outputs", scratch)
    assert run.error is None
    assert count_flushes(run) <= 1  # of the copies
