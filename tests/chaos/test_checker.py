"""The judge of the storms sees what it is there to see."""

from pathlib import Path

import pytest

from receiver.storage.local import LocalStorage
from tests.chaos.checker import INDEX, MANIFEST, RETRY, Watcher, is_torn
from tests.nasty import answer, failure
from tests.waiting import eventually
from tests.workers.storing import store

ROWS = b"\n".join((answer("one"), answer("two"), failure("three", 8)))
OBJECTS = (MANIFEST, INDEX, RETRY, "one.json", "_errors.jsonl")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store(LocalStorage(tmp_path), ROWS, 3)
    return tmp_path / "b1"


def test_whole_batch_is_not_torn(folder: Path) -> None:
    assert not is_torn(folder.parent, folder)


@pytest.mark.parametrize("name", OBJECTS)
def test_cut_object_is_torn(folder: Path, name: str) -> None:
    cut(folder / name)
    assert is_torn(folder.parent, folder)


@pytest.mark.parametrize("name", OBJECTS[1:])
def test_absent_object_is_torn(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert is_torn(folder.parent, folder)


@pytest.mark.parametrize("name", OBJECTS)
def test_watcher_tells_of_a_torn_batch_and_goes_on(folder: Path, name: str) -> None:
    root, hidden = folder.parent, folder.parent.parent / f"{folder.parent.name}-hidden"
    cut(folder / name)
    folder.rename(hidden)
    with Watcher(root) as watcher:
        hidden.rename(folder)
        eventually(lambda: watcher.torn == ["b1"], what="the first torn batch")
        folder.rename(root / "b2")
        (root / "b2" / INDEX).unlink(missing_ok=True)
        eventually(lambda: watcher.torn == ["b1", "b2"], what="the second torn batch")
