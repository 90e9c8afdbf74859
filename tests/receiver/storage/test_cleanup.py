import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from receiver.storage.cleanup import LEFT_S, clear_leftovers
from tests.chaos.system import other_clock
from tests.programs import require


def age(path: Path, seconds: float) -> None:
    changed = time.time() - seconds
    os.utime(path, (changed, changed), follow_symlinks=False)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_only_what_is_old_goes(tmp_path: Path) -> None:
    for name, seconds in (
        ("old", LEFT_S + 60),
        ("young", LEFT_S - 60),
        ("new", 0),
        ("of tomorrow", -LEFT_S),
    ):
        (tmp_path / name).write_bytes(b"x")
        age(tmp_path / name, seconds)
    assert clear_leftovers(tmp_path) == 1
    assert names_in(tmp_path) == {"young", "new", "of tomorrow"}


@pytest.mark.parametrize("young", [[], ["deep/line"], ["deep"], ["gbr-job"]], ids=str)
def test_folder_is_as_young_as_what_is_in_it(tmp_path: Path, young: list[str]) -> None:
    """A long job writes into files of a folder that itself does not change any more."""
    folder = tmp_path / "gbr-job"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "line").write_bytes(b"x")
    for name in ("deep/line", "deep", "."):
        age(folder / name, LEFT_S + 60)
    for name in young:
        age(tmp_path / name if name == "gbr-job" else folder / name, 60)
    assert clear_leftovers(tmp_path) == (0 if young else 1)
    assert folder.exists() is bool(young)


def test_other_names_stay(tmp_path: Path) -> None:
    for name in ("gbr-old", "other"):
        (tmp_path / name).mkdir()
        age(tmp_path / name, LEFT_S + 60)
    assert clear_leftovers(tmp_path, "gbr-*") == 1
    assert names_in(tmp_path) == {"other"}


def test_link_goes_without_what_it_names(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    temporaries = tmp_path / "temporaries"
    temporaries.mkdir()
    (temporaries / "link").symlink_to(kept)
    age(temporaries / "link", LEFT_S + 60)
    assert clear_leftovers(temporaries) == 1
    assert names_in(kept) == {"file"}


def test_wrong_clock_removes_nothing_of_today(tmp_path: Path) -> None:
    require("faketime")
    (tmp_path / "new").touch()
    code = "import pathlib, receiver.storage.cleanup as it; print(it.clear_leftovers(pathlib.Path.cwd()))"
    env = os.environ | other_clock("+3d") | {"NO_FAKE_STAT": "1", "PYTHONPATH": str(Path.cwd())}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, check=True
    )
    assert ended.stdout == b"0\n"
    assert names_in(tmp_path) == {"new"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_others_left_stays(tmp_path: Path) -> None:
    (tmp_path / "theirs").touch()
    age(tmp_path / "theirs", LEFT_S + 60)
    os.chown(tmp_path / "theirs", 12345, 12345)
    assert clear_leftovers(tmp_path) == 0
