from pathlib import Path

import pytest
from obstore.store import MemoryStore

from receiver.errors import AlreadyStoredError, StorageError
from receiver.storage import LocalStorage, ObjectStorage, Storage, open_storage


@pytest.fixture(params=["local", "objects"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "local":
        return LocalStorage(tmp_path / "outputs")
    return ObjectStorage(MemoryStore())


def test_written_objects_read_back(storage: Storage) -> None:
    storage.put_many([("b/one.json", b"1\n"), ("b/deep/two.json", b"2\n")])
    assert storage.read("b/one.json") == b"1\n"
    assert storage.read("b/deep/two.json") == b"2\n"


def test_writing_again_replaces(storage: Storage) -> None:
    storage.put_many([("b/one.json", b"old")])
    storage.put_many([("b/one.json", b"new")])
    assert storage.read("b/one.json") == b"new"


def test_many_objects_go_together(storage: Storage) -> None:
    objects = [(f"b/{number}.json", b"%d" % number) for number in range(300)]
    storage.put_many(objects)
    assert storage.list_names("b") == sorted(name for name, _ in objects)


def test_created_object_stays_as_it_was(storage: Storage) -> None:
    storage.create("b/_manifest.json", b"first")
    with pytest.raises(AlreadyStoredError):
        storage.create("b/_manifest.json", b"second")
    assert storage.read("b/_manifest.json") == b"first"


def test_absent_object_is_none(storage: Storage) -> None:
    assert storage.read("b/absent.json") is None
    assert not storage.exists("b/absent.json")


def test_present_object_exists(storage: Storage) -> None:
    storage.create("b/one.json", b"")
    assert storage.exists("b/one.json")


def test_file_becomes_an_object(storage: Storage, tmp_path: Path) -> None:
    file = tmp_path / "spool"
    file.write_bytes(b"x" * 20_000_000)
    storage.put_files([("b/large.jsonl", file)])
    target = tmp_path / "back"
    assert storage.read_to_file("b/large.jsonl", target)
    assert target.read_bytes() == b"x" * 20_000_000


def test_large_object_is_read_in_chunks(storage: Storage) -> None:
    data = b"0123456789" * 200_000
    storage.put_many([("b/large.jsonl", data)])
    chunks = storage.read_chunks("b/large.jsonl")
    assert chunks is not None
    assert b"".join(chunks) == data


def test_chunks_of_a_local_file_are_small(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "outputs")
    storage.put_many([("b/large.jsonl", b"x" * 2_000_000)])
    assert max(len(chunk) for chunk in storage.read_chunks("b/large.jsonl") or ()) < 1_000_000


def test_empty_object_has_no_chunks(storage: Storage) -> None:
    storage.create("b/empty", b"")
    chunks = storage.read_chunks("b/empty")
    assert chunks is not None
    assert b"".join(chunks) == b""


def test_absent_object_gives_no_chunks(storage: Storage) -> None:
    assert storage.read_chunks("b/absent") is None


def test_absent_object_fills_no_file(storage: Storage, tmp_path: Path) -> None:
    assert not storage.read_to_file("b/absent", tmp_path / "back")


def test_deleted_object_is_gone(storage: Storage) -> None:
    storage.create("b/one.json", b"1")
    storage.delete("b/one.json")
    storage.delete("b/one.json")
    assert not storage.exists("b/one.json")


def test_local_folder_shows_outputs_only(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "outputs")
    storage.put_many([(f"b/{number}.json", b"") for number in range(20)])
    with pytest.raises(AlreadyStoredError):
        storage.create("b/1.json", b"")
    assert len(list((tmp_path / "outputs" / "b").iterdir())) == 20
    assert list((tmp_path / "outputs" / ".tmp").iterdir()) == []


def test_unusable_folder_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="STORAGE_URL can't be used"):
        open_storage((tmp_path / "file" / "outputs").as_uri())


def test_unwritable_name_is_said_in_words(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    (tmp_path / "b").write_text("in the way")
    with pytest.raises(StorageError, match=r"did not write b/one\.json"):
        storage.put_many([("b/one.json", b"")])


def test_unreachable_bucket_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with pytest.raises(StorageError, match="did not find"):
        open_storage("s3://bucket/prefix").exists("b/one.json")
