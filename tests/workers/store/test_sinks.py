from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.errors import LeaseLostError, StorageError
from receiver.storage import LocalStorage
from receiver.storage.object_store import ObjectStorage
from tests.object_server.running import ObjectServer
from tests.waiting import eventually
from workers.store.sinks import OBJECT_BATCH_BYTES, OBJECT_BATCH_SIZE, ObjectSink


@pytest.fixture
def sink(object_server: ObjectServer) -> Iterator[ObjectSink]:  # noqa: ARG001 - it sets the environment
    sink = ObjectSink(ObjectStorage.open("s3://bucket/prefix", 1), lambda: None)
    yield sink
    sink.stop()


def write(sink: ObjectSink, count: int) -> None:
    first = sink.objects
    for number in range(first, first + count):
        sink.write(f"b/{number}.json", b"%d" % number)


def test_objects_are_written_while_others_gather(
    object_server: ObjectServer, sink: ObjectSink
) -> None:
    object_server.turn(delay_ms=3000)
    write(sink, OBJECT_BATCH_SIZE)
    eventually(lambda: object_server.seen()["in_flight"] > 100, 2.5, "puts under way")
    sink.write("b/next.json", b"")
    assert object_server.seen()["objects"] < OBJECT_BATCH_SIZE
    object_server.turn()


def test_all_is_durable_after_close(object_server: ObjectServer, sink: ObjectSink) -> None:
    object_server.turn(delay_ms=30)
    write(sink, 2 * OBJECT_BATCH_SIZE)
    sink.write("b/last.json", b"last")
    sink.close()
    seen = object_server.seen()
    assert (seen["objects"], seen["in_flight"]) == (2 * OBJECT_BATCH_SIZE + 1, 0)
    assert (sink.objects, sink.size_bytes) == (seen["objects"], seen["object_bytes"])


def test_failure_behind_comes_up(object_server: ObjectServer, sink: ObjectSink) -> None:
    object_server.turn(fault="denied")
    write(sink, OBJECT_BATCH_SIZE)
    with pytest.raises(StorageError, match="did not write b/0"):
        sink.close()


def test_nothing_is_written_after_stop(object_server: ObjectServer, sink: ObjectSink) -> None:
    object_server.turn(delay_ms=100)
    write(sink, OBJECT_BATCH_SIZE)
    sink.stop()
    assert object_server.seen()["in_flight"] == 0


def test_lost_lease_stops_the_next_lot(object_server: ObjectServer) -> None:
    def check() -> None:
        raise LeaseLostError("lost")

    sink = ObjectSink(ObjectStorage.open("s3://bucket/prefix", 1), check)
    with pytest.raises(LeaseLostError):
        write(sink, OBJECT_BATCH_SIZE)
    assert object_server.seen()["requests"] == {}


def test_long_line_is_not_held_twice(object_server: ObjectServer, sink: ObjectSink) -> None:
    sink.write("b/long.json", b"x" * 2 * OBJECT_BATCH_BYTES)
    assert object_server.seen()["objects"] == 1


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_objects_that_are_given_up_leave_no_file(tmp_path: Path) -> None:
    sink = ObjectSink(LocalStorage(tmp_path), lambda: None)
    write(sink, OBJECT_BATCH_SIZE)
    sink.write("b/next.json", b"")
    assert len(files_below(tmp_path)) == OBJECT_BATCH_SIZE + 1
    sink.stop()
    assert files_below(tmp_path) == []


def test_name_that_is_taken_by_a_folder_leaves_no_file(tmp_path: Path) -> None:
    """Objects that had their names before keep them."""
    (tmp_path / "b/7.json").mkdir(parents=True)
    sink = ObjectSink(LocalStorage(tmp_path), lambda: None)
    write(sink, 10)
    with pytest.raises(StorageError, match=r"did not write b/7\.json: Is a directory"):
        sink.close()
    sink.stop()
    assert files_below(tmp_path) == [f"b/{number}.json" for number in range(7)]


def test_lost_lease_gives_no_names(tmp_path: Path) -> None:
    checks = iter([None])

    def check() -> None:
        if next(checks, LeaseLostError):
            raise LeaseLostError("lost")

    sink = ObjectSink(LocalStorage(tmp_path), check)
    write(sink, 10)
    with pytest.raises(LeaseLostError):
        sink.close()
    sink.stop()
    assert files_below(tmp_path) == []
