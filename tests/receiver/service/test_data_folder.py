"""The folder of `up`: one at a time, and never beside the leftovers of a killed one."""

import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from deploy.sandbox.processes import start, stop
from receiver.errors import ServiceError
from receiver.inbox.redis import connect
from receiver.service.data_folder import DataFolder
from receiver.service.valkey import valkey_argv
from receiver.settings.dotenv_loading import load_environment
from receiver.settings.redis_urls import parse_redis_url
from receiver.settings.up_file import read_up_file, write_up_file
from tests.chaos.system import is_running
from tests.unprivileged import as_nobody
from tests.waiting import eventually

HOLD = """
import os, subprocess, sys
from pathlib import Path
from receiver.service.data_folder import DataFolder
with DataFolder(Path(sys.argv[1])).locked() as lock:
    with open(os.devnull, "wb") as nowhere:
        child = subprocess.Popen(["sleep", "60"], pass_fds=[lock], stdout=nowhere)
    print(child.pid, flush=True)
    child.wait()
"""


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path / "data")
    folder.create()
    return folder


@contextmanager
def held(folder: DataFolder) -> "Iterator[tuple[subprocess.Popen[bytes], int]]":
    """Another process with the lock, and the process id of what it has started."""
    process = start([sys.executable, "-c", HOLD, str(folder.path)], stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            yield process, child
        finally:
            with suppress(ProcessLookupError):
                os.kill(child, 9)
            stop(process)


def test_folder_of_valkey_is_private(folder: DataFolder) -> None:
    assert stat.S_IMODE(folder.valkey.stat().st_mode) == 0o700
    folder.valkey.chmod(0o777)
    folder.create()
    assert stat.S_IMODE(folder.valkey.stat().st_mode) == 0o700


def test_folder_that_can_not_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServiceError, match="file/data can't be used: Not a directory"):
        DataFolder(tmp_path / "file" / "data").create()
    with pytest.raises(ServiceError, match="too long a path"):
        DataFolder(tmp_path / ("x" * 103)).create()


@pytest.mark.parametrize("name", ["we ird", "a=b", "%41", "a#b", "a?b", "a\nb", "ü'\"\\$"])
def test_valkey_is_found_below_any_name(tmp_path: Path, name: str) -> None:
    """By RQ too, whose workers ask for CLIENT INFO at their start."""
    with TemporaryDirectory(prefix="up-") as short:
        folder = DataFolder(Path(short, name))
        folder.create()
        with (tmp_path / "log").open("wb") as log:
            process = start(valkey_argv(folder), stdout=log)
        try:
            with connect(parse_redis_url(folder.redis_url)) as client:
                eventually(folder.socket.exists)
                assert client.client_info()["cmd"] == "client|info"
        finally:
            stop(process)


def test_path_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="is not UTF-8: name another folder with --data"):
        DataFolder(tmp_path / os.fsdecode(b"\xff")).create()


def test_places_are_told(folder: DataFolder) -> None:
    assert read_up_file(folder.path) == {}
    write_up_file(folder.path, ["REDIS_URL", "STORAGE_URL"])
    found = {"REDIS_URL": folder.redis_url, "STORAGE_URL": folder.storage_url}
    assert read_up_file(folder.path) == found
    write_up_file(folder.path, ["STORAGE_URL"])
    assert read_up_file(folder.path) == {"STORAGE_URL": folder.storage_url}
    write_up_file(folder.path, [])
    assert read_up_file(folder.path) == {}


@pytest.mark.parametrize("pass_on", [shutil.copytree, shutil.move])
def test_folder_that_is_elsewhere_now_leads_to_what_is_in_it(
    folder: DataFolder, pass_on: Callable[[Path, Path], object]
) -> None:
    write_up_file(folder.path, ["REDIS_URL", "STORAGE_URL"])
    other = DataFolder(folder.path.with_name("other"))
    pass_on(folder.path, other.path)
    environ = {"DATA_FOLDER": str(other.path)}
    assert load_environment(environ, "none").of_up == {"REDIS_URL", "STORAGE_URL"}
    found = {"REDIS_URL": other.redis_url, "STORAGE_URL": other.storage_url}
    assert {name: environ[name] for name in found} == found


def test_lock_that_can_not_be_is_said(folder: DataFolder) -> None:
    lock = folder.path / "up.lock"
    lock.mkdir()
    said = rf"the lock {lock} can't be used: {{}}; name another folder with --data"
    with pytest.raises(ServiceError, match=said.format("Is a directory")), folder.locked():
        pass
    lock.rmdir()
    os.mkfifo(lock)  # can be opened, but not written over
    with pytest.raises(ServiceError, match=said.format("Invalid argument")), folder.locked():
        pass


def test_lock_of_another_user_is_said(folder: DataFolder) -> None:
    lock = folder.path / "up.lock"
    lock.touch(mode=0)
    with as_nobody(), pytest.raises(ServiceError, match="Permission denied"), folder.locked():
        pass


def test_lock_is_free_again(folder: DataFolder) -> None:
    for _ in range(2):
        with folder.locked():
            pass


def test_second_one_is_refused_at_once(folder: DataFolder) -> None:
    with held(folder) as (holder, _):
        said = f"`up` with process id {holder.pid} uses {folder.path}"
        with pytest.raises(ServiceError, match=said), folder.locked():
            pass


def test_leftovers_of_a_killed_one_are_waited_for(folder: DataFolder) -> None:
    with held(folder) as (holder, child):
        holder.kill()
        holder.wait()
        threading.Timer(0.5, os.kill, (child, 9)).start()
        with folder.locked():
            assert not is_running(child)
            assert (folder.path / "up.lock").read_text() == str(os.getpid())
