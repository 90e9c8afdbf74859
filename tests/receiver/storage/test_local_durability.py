"""What survives a power cut: flushed files, under names whose folder was flushed after."""

import re
from pathlib import Path

import pytest

from tests.receiver.storage.writing import WRITES, Write, create
from tests.system_calls import Run, require_strace, run_traced

QUOTED = re.compile(r'"([^"]*)"')
OF_DESCRIPTOR = re.compile(r"\d+<([^>]*)>")


class Disk:
    """Follows the calls of a run: what a power cut after them could take away."""

    def __init__(self, run: Run) -> None:
        self.unflushed = set[str]()  # files whose bytes are not on the disk
        self.unnamed = set[str]()  # files and folders whose names are not on the disk
        self.moved_too_early = list[str]()
        for call in run.calls:
            if call.what.endswith(" = 0") or call.name == "write":
                self._follow(call.name, QUOTED.findall(call.what), OF_DESCRIPTOR.match(call.what))

    def _follow(self, name: str, paths: list[str], descriptor: "re.Match[str] | None") -> None:
        if name == "write" and descriptor:
            self.unflushed.add(descriptor[1])
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


@pytest.mark.parametrize("name", ["few", "files", "create"])
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
