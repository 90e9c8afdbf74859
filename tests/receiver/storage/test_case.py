"""Whether a folder tells names apart that differ by case only, and who knows of it."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from receiver.errors import StorageError
from receiver.storage.cleanup import LEFT_S, clear_leftovers
from receiver.storage.local import CASE_IGNORED, LocalStorage
from receiver.storage.local_lots import TEMPORARY
from tests.case_ignored import folder_that_ignores_case, made_read_only
from tests.system_calls import Call, require_strace, run_traced


@pytest.fixture
def ignoring(tmp_path: Path) -> Iterator[Path]:
    with folder_that_ignores_case(tmp_path) as folder:
        yield folder


def probe(root: Path, _scratch: Path) -> None:
    LocalStorage(root).tells_case_apart()


def call_that_makes(name: str, root: Path) -> Call:
    """The one of the two names that ends so, in a storage that is there."""
    probe(root, root)
    calls = run_traced(probe, root, root).calls
    (found,) = [call for call in calls if f'-{name}"' in call.what and "open" in call.name]
    return found


def left_in(root: Path) -> list[Path]:
    return list((root / TEMPORARY).iterdir())


def test_folder_here_tells_case_apart_and_keeps_nothing_of_the_probe(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "outputs")
    assert storage.tells_case_apart()
    assert (left_in(storage.root), storage.list_names("")) == ([], [])


def test_folder_that_ignores_case_is_known_and_remembers(ignoring: Path) -> None:
    storage = LocalStorage(ignoring / "outputs")
    assert not storage.tells_case_apart()
    assert (left_in(storage.root), storage.list_names("")) == ([], [CASE_IGNORED])
    assert not LocalStorage(storage.root).tells_case_apart()


def test_finding_of_one_machine_holds_for_the_others(tmp_path: Path) -> None:
    """A Mac and a server may share a folder, of which the Mac alone takes two names for one."""
    storage = LocalStorage(tmp_path / "outputs")
    assert storage.tells_case_apart()
    storage.put_many([(CASE_IGNORED, b"a Mac was here\n")])
    assert not storage.tells_case_apart()


def test_many_probe_at_once(tmp_path: Path, ignoring: Path) -> None:
    for root, tells in ((tmp_path / "outputs", True), (ignoring / "outputs", False)):
        with ThreadPoolExecutor(8) as pool:
            found = list(
                pool.map(lambda _, root=root: LocalStorage(root).tells_case_apart(), range(32))
            )
        assert (set(found), left_in(root)) == ({tells}, [])


def test_folder_that_takes_no_probe_is_not_judged(ignoring: Path) -> None:
    LocalStorage(ignoring / "outputs").put_many([("b1/one.json", b"1\n")])
    storage = LocalStorage(ignoring / "outputs")  # has written nothing, so the disk is not in use
    with made_read_only(ignoring):
        with pytest.raises(StorageError, match="did not make two names that differ by case: "):
            storage.tells_case_apart()
        assert storage.list_names("") == ["b1/one.json"]


@pytest.mark.parametrize("refusal", ["EACCES", "EROFS", "EPERM", "ENOSPC", "EIO"])
def test_refused_probe_is_tried_again(refusal: str, tmp_path: Path) -> None:
    require_strace()
    root = tmp_path / "outputs"
    first = call_that_makes("name", root)
    run = run_traced(
        probe, root, tmp_path, inject=(f"{first.name}:error={refusal}:when={first.number}",)
    )
    assert run.injected
    assert (run.kind, run.retryable) == (StorageError.__name__, True)
    assert "did not make two names that differ by case: " in (run.error or "")
    assert not (root / CASE_IGNORED).exists()


def test_second_name_that_is_there_already_says_that_case_is_ignored(tmp_path: Path) -> None:
    """As on a Mac: the name in capitals is taken, though nobody made it."""
    require_strace()
    root = tmp_path / "outputs"
    second = call_that_makes("NAME", root)
    run = run_traced(
        probe, root, tmp_path, inject=(f"{second.name}:error=EEXIST:when={second.number}",)
    )
    assert (run.injected, run.error, left_in(root)) == (1, None, [])
    assert (root / CASE_IGNORED).read_bytes()


def test_what_a_killed_probe_leaves_goes_with_other_leftovers(tmp_path: Path) -> None:
    require_strace()
    root = tmp_path / "outputs"
    second = call_that_makes("NAME", root)
    run = run_traced(
        probe, root, tmp_path, inject=(f"{second.name}:signal=KILL:when={second.number}",)
    )
    assert run.exit_code == -signal.SIGKILL
    (left,) = left_in(root)
    assert LocalStorage(root).tells_case_apart()
    changed = time.time() - LEFT_S - 60
    os.utime(left, (changed, changed))
    assert (clear_leftovers(root / TEMPORARY), left_in(root)) == (1, [])
