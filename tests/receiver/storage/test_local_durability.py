"""What survives a power cut: flushed files, under names whose folder was flushed after."""

import re
from pathlib import Path

import pytest

from tests.receiver.storage.mounting import NOT_PERMITTED, mount, require_mounts_of_its_own
from tests.receiver.storage.writing import (
    MANY,
    WRITES,
    Write,
    create,
    put_many,
    put_many_on_old_linux,
)
from tests.system_calls import Run, folder_in_memory, require_strace, run_traced

PATH = re.compile(r'(?:<([^>]*)>, )?"([^"]*)"')  # after the folder that it counts from
OF_DESCRIPTOR = re.compile(r"\d+<([^>]*)>")


class Disk:
    """Follows the calls of a run: what a power cut after them could take away."""

    def __init__(self, run: Run) -> None:
        self.unflushed = set[str]()  # files whose bytes are not on the disk
        self.unnamed = set[str]()  # files and folders whose names are not on the disk
        self.moved_too_early = list[str]()
        for call in run.calls:
            if call.what.endswith(" = 0") or call.name == "write":
                paths = [str(Path(*found)) for found in PATH.findall(call.what)]
                self._follow(call.name, paths, OF_DESCRIPTOR.match(call.what))

    def _follow(self, name: str, paths: list[str], descriptor: "re.Match[str] | None") -> None:
        if name == "write" and descriptor:
            self.unflushed.add(descriptor[1])
        elif name == "syncfs":
            self.unflushed.clear()
            self.unnamed.clear()
        elif name == "fsync" and descriptor:
            self.unflushed.discard(descriptor[1])
            self.unnamed = {
                path for path in self.unnamed if str(Path(path).parent) != descriptor[1]
            }
        elif name.startswith("mkdir"):
            self.unnamed.add(paths[-1])
        elif name.startswith(("rename", "link")):
            self.unnamed.add(paths[-1])
            self.moved_too_early += [path for path in paths[:1] if path in self.unflushed]


@pytest.mark.parametrize("name", ["few", "many", "files", "create"])
def test_what_was_written_survives_a_power_cut(name: str, tmp_path: Path) -> None:
    require_strace()
    write: Write = WRITES[name][0]
    root, scratch = tmp_path / "new" / "outputs", tmp_path / "scratch"
    scratch.mkdir()
    disk = Disk(run_traced(write, root, scratch))
    assert disk.moved_too_early == []
    assert {path for path in disk.unnamed if not path.startswith(f"{root}/.tmp")} == set()
    assert len(list(root.rglob("*"))) > 1


def test_object_of_another_writer_survives_a_power_cut(tmp_path: Path) -> None:
    """The other may have been killed between its link and its flush; the job ends well."""
    require_strace()
    root = tmp_path / "outputs"
    create(root, tmp_path)
    run = run_traced(create, root, tmp_path)
    flushed = [call.what for call in run.calls if call.name == "fsync"]
    assert any(what.endswith(f"<{root}/d>) = 0") for what in flushed), flushed


def flushes(run: Run) -> tuple[int, set[str]]:
    """How often the whole file system was flushed, and which temporary files by themselves."""
    of_files = [OF_DESCRIPTOR.match(call.what) for call in run.calls if call.name == "fsync"]
    paths = {found[1] for found in of_files if found and "/.tmp/" in found[1]}
    return sum(call.name == "syncfs" for call in run.calls), paths


def test_many_files_are_flushed_together(tmp_path: Path) -> None:
    require_strace()
    with folder_in_memory() as folder:
        run = run_traced(put_many, folder / "outputs", tmp_path)
    assert flushes(run) == (2, set())  # the bytes, the names


def put_many_on_an_overlay(root: Path, scratch: Path) -> None:
    """Mounted for this process alone, and gone with it."""
    folders = [scratch / name for name in ("lower", "upper", "work")]
    for folder in (*folders, root):
        folder.mkdir()
    options = ",".join(f"{folder.name}dir={folder}" for folder in folders)
    require_mounts_of_its_own()
    mount("-t", "overlay", "-o", options, "none", str(root))
    put_many(root, scratch)


@pytest.mark.parametrize(
    ("write", "inject"),
    [
        pytest.param(put_many_on_old_linux, (), id="old Linux"),
        pytest.param(put_many_on_an_overlay, (), id="overlay"),
        pytest.param(put_many, ("syncfs:error=ENOSYS",), id="sandbox"),
        pytest.param(put_many, ("syncfs:error=EPERM",), id="strict sandbox"),
    ],
)
def test_files_are_flushed_one_by_one_where_syncfs_proves_nothing(
    write: Write, inject: tuple[str, ...], tmp_path: Path
) -> None:
    require_strace()
    (tmp_path / "scratch").mkdir()
    run = run_traced(write, tmp_path / "outputs", tmp_path / "scratch", inject=inject)
    if run.error and NOT_PERMITTED in run.error:
        pytest.skip(NOT_PERMITTED)
    assert run.error is None
    assert len(flushes(run)[1]) == len(MANY)
