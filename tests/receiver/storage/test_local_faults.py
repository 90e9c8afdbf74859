"""Every system call of a local storage fails once, in every way, or its process is killed."""

import errno
import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.errors import StorageError
from receiver.storage.local import LocalStorage
from receiver.storage.local_lots import TEMPORARY
from tests.receiver.storage.writing import OLD, WRITES, Write
from tests.system_calls import Call, Run, calls_below, folder_in_memory, require_strace, run_traced

WHAT_TO_DO = {
    errno.ENOSPC: "free some space",
    errno.EIO: "check the disk",
    errno.EFBIG: "limit on the size of a file",
    errno.EROFS: "mount it for writing",
    errno.EMFILE: "limit on open files",
}
KEEPING = re.compile(r"write|sendfile|sync|rename|^link")


class Place:
    """A storage with old objects, beside a folder for scratch files."""

    def __init__(self, folder: Path, name: str) -> None:
        self.write: Write
        self.write, self.new = WRITES[name]
        self.in_threads = name == "many, old Linux"  # how many calls each makes is up to chance
        self.root, self.scratch = folder / "outputs", folder / "scratch"

    def reset(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir()
        LocalStorage(self.root).put_many(list(OLD.items()))

    def run(self, *inject: str) -> Run:
        return run_traced(self.write, self.root, self.scratch, inject=inject)

    def objects(self) -> dict[str, bytes]:
        paths = (path for path in self.root.rglob("*") if path.is_file())
        found = {str(path.relative_to(self.root)): path.read_bytes() for path in paths}
        return {name: data for name, data in found.items() if not name.startswith(TEMPORARY)}

    def temporaries(self) -> list[Path]:
        return list((self.root / TEMPORARY).iterdir())

    def require_whole(self, about: str) -> None:
        """Each name has its old or its new content, or is not there; what was there still is."""
        found = self.objects()
        assert found.keys() >= OLD.keys(), about
        assert found.keys() <= OLD.keys() | self.new.keys(), about
        for name, data in found.items():
            assert data in {OLD.get(name), self.new.get(name)}, (name, about)

    def require_second_try(self, about: str) -> None:
        self.write(self.root, self.scratch)
        assert self.objects() == OLD | self.new, about


@pytest.fixture(params=WRITES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    require_strace()
    with folder_in_memory() as folder:
        place = Place(folder, request.param)
        if request.param == "files of another disk":
            place.scratch = tmp_path / "scratch"
            if folder.stat().st_dev == tmp_path.stat().st_dev:
                pytest.skip("no second disk")
        yield place


def calls_of(place: Place) -> list[Call]:
    """The system calls of a run without faults; one of those that threads make at once."""
    place.reset()
    run = place.run()
    assert (run.exit_code, run.error) == (0, None)
    assert place.objects() == OLD | place.new
    return list({(call.name, call.number): call for call in calls_below(run, place.root)}.values())


def require_plain_error(run: Run, code: int, about: str) -> None:
    assert (run.kind, run.retryable) == ("StorageError", True), (run.kind, run.error, about)
    assert run.error is not None
    assert os.strerror(code) in run.error, about
    assert WHAT_TO_DO[code] in run.error, about


def calls_to_fail(place: Place, code: int) -> list[Call]:
    """Writes, flushes and renames fail in every way; the calls around them in one way each."""
    turn = list(WHAT_TO_DO).index(code)
    calls = enumerate(calls_of(place))
    return [
        call
        for number, call in calls
        if KEEPING.search(call.name) or number % len(WHAT_TO_DO) == turn
    ]


@pytest.mark.parametrize("code", WHAT_TO_DO, ids=errno.errorcode.get)
def test_failed_call_leaves_whole_objects(place: Place, code: int) -> None:
    for call in calls_to_fail(place, code):
        place.reset()
        about = f"{errno.errorcode[code]} at {call}"
        run = place.run(f"{call.name}:error={errno.errorcode[code]}:when={call.number}")
        assert run.injected or place.in_threads, about
        place.require_whole(about)
        if "unlink" not in call.name:
            assert place.temporaries() == [], about
        if run.error is not None:
            require_plain_error(run, code, about)
        else:
            assert place.objects() == OLD | place.new, about
        place.require_second_try(about)


def test_killed_writer_leaves_whole_objects(place: Place) -> None:
    for call in calls_of(place):
        place.reset()
        run = place.run(f"{call.name}:signal=SIGKILL:when={call.number}")
        assert run.exit_code == -signal.SIGKILL or place.in_threads, call
        place.require_whole(str(call))
        place.require_second_try(str(call))


@pytest.mark.parametrize("place", ["files"], indirect=True)
def test_file_of_another_mount_is_copied(place: Place) -> None:
    """Two mounts of one disk look like one to `stat`, yet no rename works between them."""
    rename = next(call.name for call in calls_of(place) if call.name.startswith("rename"))
    place.reset()
    run = place.run(f"{rename}:error=EXDEV:when=1")
    assert (run.error, run.injected) == (None, 1)
    assert place.objects() == OLD | place.new
    assert place.temporaries() == []


@pytest.mark.parametrize("place", ["few"], indirect=True)
def test_storage_that_is_not_ready_is_tried_again(place: Place) -> None:
    """A job that meets it must not give its batch up at once."""
    shutil.rmtree(place.root, ignore_errors=True)
    run = place.run()
    calls = [
        call
        for call in calls_below(run, place.root)
        if "mkdir" in call.name and call.what.endswith("= 0")
    ]
    assert len(calls) > 1
    for call in calls:
        shutil.rmtree(place.root, ignore_errors=True)
        run = place.run(f"{call.name}:error=EROFS:when={call.number}")
        require_plain_error(run, errno.EROFS, str(call))


def test_file_in_the_storages_place_is_not_tried_again(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="STORAGE_URL can't be used") as caught:
        LocalStorage(tmp_path / "file")
    assert not caught.value.retryable
