"""GCS as far as fake-gcs-server goes: it has the reading half of the XML API of obstore."""

import secrets
from pathlib import Path
from urllib.parse import quote

import pytest

from receiver.storage import Storage, open_storage
from tests.running import CLIENT
from tests.storage_servers import BUCKET, Bucket

NAMES = ["b/!75pper!u1a.json", "b/a=b/c-d/e..f.json", "b/one.json", "b2/three.json"]


@pytest.fixture
def storage(fake_gcs: Bucket, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """A folder of the bucket in which another client has stored things."""
    fake_gcs.enter(monkeypatch)
    folder = secrets.token_hex(8)
    for name in NAMES:
        query = f"uploadType=media&name={quote(f'{folder}/{name}', safe='')}"
        url = f"{fake_gcs.environment['GOOGLE_BASE_URL']}/upload/storage/v1/b/{BUCKET}/o?{query}"
        CLIENT.post(url, content=name.encode()).raise_for_status()
    return open_storage(f"{fake_gcs.url}/{folder}")


def test_objects_are_read(storage: Storage, tmp_path: Path) -> None:
    for name in NAMES:
        assert storage.read(name) == name.encode()
        assert storage.exists(name)
        assert storage.read_to_file(name, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == name.encode()
        assert b"".join(storage.read_chunks(name) or ()) == name.encode()


def test_absent_object_is_none(storage: Storage, tmp_path: Path) -> None:
    assert storage.read("b/absent") is None
    assert storage.read_chunks("b/absent") is None
    assert not storage.exists("b/absent")
    assert not storage.read_to_file("b/absent", tmp_path / "back")


def test_listing_keeps_to_its_folder(storage: Storage) -> None:
    assert storage.list_names("b") == NAMES[:3]
    assert storage.list_names("b2") == NAMES[3:]
    assert storage.list_names("absent") == []


def test_deleted_object_is_gone(storage: Storage) -> None:
    storage.delete("b/one.json")
    storage.delete("b/one.json")
    assert not storage.exists("b/one.json")
