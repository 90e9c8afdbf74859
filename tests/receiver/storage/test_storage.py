"""What every storage does: a folder, our small S3, and real servers of S3 and Azure."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from receiver.errors import AlreadyStoredError, StorageError
from receiver.storage import Storage, open_storage
from tests.running import CLIENT
from tests.storage_servers import Bucket

PART_BYTES = 8 * 1024 * 1024  # more than this goes up in parts
LONG = "k" * 240
NAMES = [
    "b/!75pper!u1a.json",
    "b/a=b/c-d/e..f/g.h.json",
    "b/_media/k1.1.png",
    "b/.hidden",
    "b/~(1)'*,;@$&+.json",
    f"b/{LONG}.json",
    f"b/{LONG}/{LONG}/{LONG}/".ljust(900, "m"),
]


def test_written_objects_read_back(storage: Storage) -> None:
    storage.put_many([("b/one.json", b"1\n"), ("b/deep/two.json", b"2\n")])
    assert storage.read("b/one.json") == b"1\n"
    assert storage.read("b/deep/two.json") == b"2\n"


def test_names_that_differ_by_case_are_two_objects(storage: Storage) -> None:
    """What names with capitals rely on: of a folder it is found out, of a bucket it is known."""
    assert storage.tells_case_apart()
    storage.put_many([("b/Key.json", b"1\n"), ("b/key.json", b"2\n")])
    assert (storage.read("b/Key.json"), storage.read("b/key.json")) == (b"1\n", b"2\n")
    assert storage.list_names("b") == ["b/Key.json", "b/key.json"]


def test_writing_again_replaces(storage: Storage) -> None:
    storage.put_many([("b/one.json", b"old")])
    storage.put_many([("b/one.json", b"new")])
    assert storage.read("b/one.json") == b"new"


def test_many_objects_go_together(storage: Storage, request: pytest.FixtureRequest) -> None:
    count = 1_100 if "seaweedfs" in request.node.name else 300  # S3 lists 1,000 a page
    objects = [(f"b/{number}.json", b"%d" % number) for number in range(count)]
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


def test_empty_object_has_no_chunks(storage: Storage) -> None:
    storage.create("b/empty", b"")
    chunks = storage.read_chunks("b/empty")
    assert chunks is not None
    assert b"".join(chunks) == b""


def test_absent_object_gives_no_chunks(storage: Storage) -> None:
    assert storage.read_chunks("b/absent") is None


def test_range_of_an_object_is_read_alone(storage: Storage) -> None:
    storage.put_many([("b/large.jsonl", b"0123456789" * 200_000)])
    assert storage.read_range("b/large.jsonl", 1_999_993, 5) == b"34567"
    assert storage.read_range("b/large.jsonl", 3, 0) == b""
    assert storage.read_range("b/large.jsonl", 1_999_993, 50) == b"3456789"
    assert storage.read_range("b/large.jsonl", 2_000_000, 1) == b""
    assert storage.read_range("b/large.jsonl", 2_000_007, 50) == b""


def test_absent_object_has_no_range(storage: Storage) -> None:
    assert storage.read_range("b/absent", 1, 5) is None
    assert storage.read_range("b/absent", 0, 0) is None


def test_size_is_known_without_the_bytes(storage: Storage) -> None:
    storage.put_many([("b/one.json", b"1234567")])
    assert (storage.size_of("b/one.json"), storage.size_of("b/absent")) == (7, None)


@pytest.mark.parametrize("name", ["b/_errors.jsonl", "!75pper!u1/_table.parquet"])
def test_signed_address_gives_the_object_to_anybody(
    storage: Storage, storage_address: str, name: str
) -> None:
    storage.put_many([(name, b"1234567")])
    address = storage.sign(name, 60)
    if storage_address.startswith("file:"):
        assert address is None
        return
    assert address is not None
    answer = CLIENT.get(address)
    assert (answer.status_code, answer.content) == (200, b"1234567")


@pytest.mark.parametrize("server", ["seaweedfs", "azurite"])
def test_address_gives_nothing_without_its_signature(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    bucket: Bucket = request.getfixturevalue(server)
    bucket.enter(monkeypatch)
    storage = open_storage(bucket.url)
    storage.put_many([("b/_errors.jsonl", b"1234567")])
    address = storage.sign("b/_errors.jsonl", 60)
    assert address is not None
    assert CLIENT.get(address.partition("?")[0]).is_client_error


def test_absent_object_fills_no_file(storage: Storage, tmp_path: Path) -> None:
    assert not storage.read_to_file("b/absent", tmp_path / "back")


def test_deleted_object_is_gone(storage: Storage) -> None:
    storage.create("b/one.json", b"1")
    storage.delete("b/one.json")
    storage.delete("b/one.json")
    assert not storage.exists("b/one.json")


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name[:24])
def test_any_name_is_kept(storage: Storage, name: str) -> None:
    storage.create(name, name.encode())
    assert storage.read(name) == name.encode()
    assert storage.exists(name)
    assert storage.list_names("b") == [name]
    storage.delete(name)
    assert storage.list_names("b") == []


@pytest.mark.parametrize("name", ["../secret", "b/../../secret", "b/\0", "b/\ud800"])
def test_name_that_leaves_the_storage_is_refused(
    storage: Storage, tmp_path: Path, name: str
) -> None:
    """An index that somebody else wrote may name any file of the machine that reads it."""
    storage.put_many([("b/one.json", b"1\n")])  # a folder of a file's name must be there
    (tmp_path / "secret").write_bytes(b"secret")
    with pytest.raises(StorageError):
        storage.read_range(name, 0, 6)
    for ask in (storage.read, storage.read_chunks, storage.size_of, storage.exists):
        with pytest.raises(StorageError):
            ask(name)
    with pytest.raises(StorageError):
        storage.create(name, b"")
    assert (tmp_path / "secret").read_bytes() == b"secret"


def test_absolute_name_lies_in_the_storage_or_nowhere(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    with suppress(StorageError):
        assert storage.read(str(tmp_path / "secret")) is None


def test_listing_keeps_to_its_folder(storage: Storage) -> None:
    storage.put_many([("b/1", b""), ("b/deep/2", b""), ("b2/3", b""), ("b-4", b""), ("c/b/5", b"")])
    assert storage.list_names("b") == ["b/1", "b/deep/2"]
    assert storage.list_names("b/deep") == ["b/deep/2"]
    assert storage.list_names("absent") == []


def test_empty_object_is_there(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "spool").touch()
    storage.put_many([("b/one", b"")])
    storage.put_files([("b/two", tmp_path / "spool")])
    assert [storage.read("b/one"), storage.read("b/two")] == [b"", b""]
    assert storage.list_names("b") == ["b/one", "b/two"]
    assert storage.read_to_file("b/one", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b""


def test_one_of_many_creators_wins(storage: Storage, storage_address: str) -> None:
    def create(number: int) -> bytes | None:
        try:
            open_storage(storage_address).create("b/_manifest.json", b"%d" % number)
        except AlreadyStoredError:
            return None
        return b"%d" % number

    with ThreadPoolExecutor(16) as creators:
        winners = [data for data in creators.map(create, range(16)) if data is not None]
    assert winners == [storage.read("b/_manifest.json")]


def test_created_object_outlives_late_creators(storage: Storage) -> None:
    storage.put_many([("b/one", b"first")])
    with pytest.raises(AlreadyStoredError, match="b/one is already stored"):
        storage.create("b/one", b"")
    assert storage.read("b/one") == b"first"


def test_reader_never_sees_half_an_object(storage: Storage, tmp_path: Path) -> None:
    whole = (b"a" * 3_000_000, b"b" * (PART_BYTES + 1_000_000))  # the second goes up in parts
    storage.put_many([("b/one", whole[0])])

    def write_in_turn() -> None:
        for turn in range(1, 7):
            storage.put_many([("b/one", whole[turn % 2])])

    with ThreadPoolExecutor(1) as writer:
        writing = writer.submit(write_in_turn)
        seen = 0
        while not writing.done() or not seen:
            assert storage.read("b/one") in whole
            assert storage.read_to_file("b/one", tmp_path / "back")
            assert (tmp_path / "back").read_bytes() in whole
            seen += 1
    writing.result()


def test_object_in_parts_shows_when_it_is_whole(storage: Storage, tmp_path: Path) -> None:
    file = tmp_path / "spool"
    file.write_bytes(secrets.token_bytes(5 * PART_BYTES))
    data = file.read_bytes()
    with ThreadPoolExecutor(1) as writer:
        writing = writer.submit(storage.put_files, [("b/large", file)])
        while not writing.done():
            assert storage.read("b/large") in (None, data)
    writing.result()
    assert storage.read("b/large") == data


def test_bucket_needs_no_prefix(bucket: Bucket) -> None:
    storage, name = open_storage(bucket.url), f"{secrets.token_hex(8)}/one"
    storage.create(name, b"1")
    folder = name.partition("/")[0]
    assert open_storage(f"{bucket.url}/{folder}").read("one") == b"1"
    assert open_storage(f"{bucket.url}/{folder}/").list_names("") == ["one"]
    assert storage.list_names(folder) == [name]
