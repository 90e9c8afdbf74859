import time
from pathlib import Path

import pytest

from receiver.errors import AlreadyStoredError, StorageError
from receiver.storage.object_store import ObjectStorage
from tests.object_server.running import ObjectServer
from tests.waiting import eventually

OBJECTS = [(f"b/{number}.json", b"%d" % number * 500) for number in range(400)]
SOON_S = 8
PATIENCE_S = 1.0


@pytest.fixture
def storage(object_server: ObjectServer) -> ObjectStorage:  # noqa: ARG001 - it sets the environment
    return ObjectStorage.open("s3://bucket/prefix", PATIENCE_S)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(b"0123456789abcdef" * 2_000_000)
    return path


def read_all(storage: ObjectStorage) -> dict[str, bytes | None]:
    return {name: storage.read(name) for name in storage.list_names("b")}


@pytest.mark.parametrize("fault", ["slow-down", "too-many", "internal", "reset", "lost"])
def test_failed_puts_are_sent_again(
    object_server: ObjectServer, storage: ObjectStorage, fault: str
) -> None:
    object_server.turn(fault=fault, share=0.3, on=["put"])
    storage.put_many(OBJECTS)
    assert object_server.seen()["faults"]["put"] > 100
    object_server.turn()
    assert read_all(storage) == dict(OBJECTS)


def test_slow_down_is_obeyed(object_server: ObjectServer) -> None:
    """At full speed thousands a second would be refused."""
    storage = ObjectStorage.open("s3://bucket/prefix")
    object_server.turn(delay_ms=30, fault="slow-down", on=["put"], per_s=500)
    for _ in range(7):
        storage.put_many(OBJECTS)
    seen = object_server.seen()
    assert seen["objects"] == len(OBJECTS)
    assert seen["requests"]["put"] - seen["faults"]["put"] == 7 * len(OBJECTS)
    later = seen["seconds"][2:-1]
    assert len(later) >= 2
    assert sum(later) < 1.5 * 500 * len(later), seen


def test_pace_recovers_after_slow_down(object_server: ObjectServer) -> None:
    storage = ObjectStorage.open("s3://bucket/prefix")
    object_server.turn(fault="slow-down", on=["put"], times=1000)
    storage.put_many(OBJECTS)

    def most_in_flight() -> int:
        object_server.turn(delay_ms=5)
        storage.put_many(OBJECTS)
        return int(object_server.seen()["most_in_flight"])

    assert most_in_flight() < 200
    eventually(lambda: most_in_flight() > 200, 20, "the old pace")


@pytest.mark.parametrize(
    ("fault", "words"), [("slow-down", "503.*SlowDown"), ("internal", "500"), ("reset", "sending")]
)
def test_lasting_failure_is_given_up(
    object_server: ObjectServer, storage: ObjectStorage, fault: str, words: str
) -> None:
    object_server.turn(fault=fault)
    begun = time.monotonic()
    with pytest.raises(
        StorageError, match=rf"(?s)did not write b/0.json and 399 more.*{words}"
    ) as caught:
        storage.put_many(OBJECTS)
    assert PATIENCE_S / 2 < time.monotonic() - begun < SOON_S
    assert caught.value.retryable


def test_failed_part_is_sent_again(
    object_server: ObjectServer, storage: ObjectStorage, file: Path
) -> None:
    object_server.turn(fault="internal", on=["part"], times=2)
    storage.put_files([("b/large", file)])
    assert object_server.seen()["requests"] == {"start": 1, "part": 9, "complete": 1}
    assert storage.read("b/large") == file.read_bytes()


@pytest.mark.parametrize("fault", ["slow-down", "reset", "denied"])
@pytest.mark.parametrize("step", ["part", "complete"])
def test_failed_upload_leaves_nothing(
    object_server: ObjectServer, storage: ObjectStorage, file: Path, fault: str, step: str
) -> None:
    object_server.turn(fault=fault, on=[step])
    begun = time.monotonic()
    with pytest.raises(StorageError, match=r"(to|not) write b/large"):
        storage.put_files([("b/large", file)])
    assert time.monotonic() - begun < SOON_S
    seen = object_server.seen()
    assert (seen["open_uploads"], seen["objects"]) == (0, 0)
    assert seen["requests"]["abort"] == seen["requests"]["start"]


def test_small_files_go_together(
    object_server: ObjectServer, storage: ObjectStorage, tmp_path: Path
) -> None:
    files = [(f"b/{number}.json", tmp_path / str(number)) for number in range(60)]
    for name, path in files:
        path.write_text(name)
    object_server.turn(delay_ms=300)
    storage.put_files(files)
    assert object_server.seen()["most_in_flight"] > 30
    object_server.turn()
    assert read_all(storage) == {name: name.encode() for name, _ in files}


def test_lost_answer_to_an_upload_is_healed(
    object_server: ObjectServer, storage: ObjectStorage, file: Path
) -> None:
    object_server.turn(fault="lost", on=["complete"], times=1)
    storage.put_files([("b/large", file)])
    assert storage.read("b/large") == file.read_bytes()


def test_lost_answer_to_a_creation_is_no_success(
    object_server: ObjectServer, storage: ObjectStorage
) -> None:
    """Who created it can't be told from here: the job looks again."""
    object_server.turn(fault="lost", on=["create"], times=1)
    with pytest.raises(StorageError, match=r"did not create b/_manifest\.json"):
        storage.create("b/_manifest.json", b"first")
    assert storage.exists("b/_manifest.json")
    with pytest.raises(AlreadyStoredError):
        storage.create("b/_manifest.json", b"second")
    assert storage.read("b/_manifest.json") == b"first"


def test_refused_creation_is_sent_again(
    object_server: ObjectServer, storage: ObjectStorage
) -> None:
    object_server.turn(fault="slow-down", on=["create"], times=2)
    storage.create("b/_manifest.json", b"first")
    assert storage.read("b/_manifest.json") == b"first"


def test_denied_puts_are_not_repeated(object_server: ObjectServer, storage: ObjectStorage) -> None:
    object_server.turn(fault="denied")
    with pytest.raises(StorageError, match=r"did not write .*check AWS_ACCESS_KEY_ID"):
        storage.put_many(OBJECTS)
    assert object_server.seen()["requests"]["put"] < len(OBJECTS)


@pytest.mark.parametrize("fault", ["", "internal", "reset"])
def test_missing_credentials_are_said_soon(
    object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", object_server.url)
    object_server.turn(fault=fault, on=["credentials"])
    begun = time.monotonic()
    with pytest.raises(StorageError, match="no credentials were found"):
        ObjectStorage.open("s3://bucket/prefix", PATIENCE_S).exists("b/one.json")
    assert time.monotonic() - begun < SOON_S


def test_missing_bucket_is_named(object_server: ObjectServer, storage: ObjectStorage) -> None:
    object_server.turn(fault="missing")
    with pytest.raises(StorageError, match="create the bucket"):
        storage.put_many(OBJECTS[:3])
    with pytest.raises(StorageError, match="create the bucket"):
        storage.create("b/_manifest.json", b"")
