"""A disk that is full or read-only, and limits that are reached: writes stop midway."""

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from receiver.errors import StorageError
from receiver.storage.local import LocalStorage
from receiver.storage.local_lots import TEMPORARY
from tests.receiver.storage.mounting import NOT_PERMITTED, mount, require_mounts_of_its_own
from tests.receiver.storage.writing import FEW, MANY, OLD, Write, put_few, put_many
from tests.system_calls import run_alone

MAX_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def contents(root: Path) -> dict[str, bytes]:
    paths = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def require_refusal(write: Write, root: Path, code: int) -> None:
    """In another process: the write fails with this error; each object is whole, nothing is left."""
    with pytest.raises(StorageError, match=os.strerror(code)) as caught:
        write(root, root)
    assert caught.value.retryable
    said = "; a worker tries again by itself, a command must be run again"
    assert str(caught.value).endswith(said)
    resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_FILES, MAX_FILES))
    new = FEW if write is put_few else MANY
    for name, data in contents(root).items():
        assert data in {OLD.get(name), new.get(name)}, name


def write_with_small_files(write: Write, root: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    require_refusal(write, root, errno.EFBIG)


def write_with_few_files(write: Write, root: Path) -> None:
    descriptor = os.open(root, os.O_RDONLY)
    os.close(descriptor)
    # where threads write, one of them may have its file
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptor + (write is put_many), MAX_FILES))
    require_refusal(write, root, errno.EMFILE)


def write_to_a_small_disk(write: Write, root: Path) -> None:
    """The disk is mounted for this process alone, and gone with it."""
    require_mounts_of_its_own()
    mount("-t", "tmpfs", "-o", "size=12k", "none", str(root))
    LocalStorage(root).put_many(list(OLD.items()))
    require_refusal(write, root, errno.ENOSPC)
    mount("-o", "remount,size=1m,ro", str(root))
    require_refusal(write, root, errno.EROFS)
    mount("-o", "remount,rw", str(root))
    write(root, root)
    assert contents(root) == OLD | (FEW if write is put_few else MANY)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    LocalStorage(tmp_path / "outputs").put_many(list(OLD.items()))
    return tmp_path / "outputs"


@pytest.mark.parametrize("write", [put_few, put_many])
@pytest.mark.parametrize("limited", [write_with_small_files, write_with_few_files])
def test_reached_limit_leaves_whole_objects(
    root: Path, write: Write, limited: Callable[[Write, Path], None]
) -> None:
    run_alone(limited, write, root)
    assert list((root / TEMPORARY).iterdir()) == []
    write(root, root)
    assert contents(root) == OLD | (FEW if write is put_few else MANY)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk")
@pytest.mark.parametrize("write", [put_few, put_many])
def test_full_disk_leaves_whole_objects(tmp_path: Path, write: Write) -> None:
    try:
        run_alone(write_to_a_small_disk, write, tmp_path)
    except AssertionError as error:
        if NOT_PERMITTED in str(error):
            pytest.skip(NOT_PERMITTED)
        raise
