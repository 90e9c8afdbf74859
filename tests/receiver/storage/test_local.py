from pathlib import Path

import pytest

from receiver.errors import AlreadyStoredError, StorageError
from receiver.storage import LocalStorage, open_storage


def test_chunks_of_a_local_file_are_small(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "outputs")
    storage.put_many([("b/large.jsonl", b"x" * 2_000_000)])
    assert max(len(chunk) for chunk in storage.read_chunks("b/large.jsonl") or ()) < 1_000_000


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
