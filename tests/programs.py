"""Programs and packages that may be missing here."""

import os
import shutil
import sysconfig
from pathlib import Path

import pytest

NODE_PROGRAMS = (
    Path(__file__).parent.parent / ".node" / "node_modules" / ".bin"
)  # where .ci/run installs


def give_up(what: str, remedy: str) -> None:
    """Skip the test here; in CI, which installs everything, fail it."""
    explain = pytest.fail if os.environ.get("CI") else pytest.skip
    explain(f"{what} is missing: {remedy}")


def require(program: str, package: str = "") -> None:
    """Skip without a program of the system; `package` is Debian's where it has another name."""
    if shutil.which(program) is None:
        give_up(program, f"apt-get install {package or program}")


def find(program: str, remedy: str) -> str:
    """The path of a program that pip, npm or the user has installed; skip without it."""
    places = (sysconfig.get_path("scripts"), str(NODE_PROGRAMS), os.environ.get("PATH", ""))
    found = shutil.which(program, path=os.pathsep.join(places))
    if found is None:
        give_up(program, remedy)
    return str(found)


def reading_files() -> dict[str, str]:
    """The environment of a program that reads `.env` and the data folder of its working folder."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in {"RECEIVER_ENV_FILE", "DATA_FOLDER"}
    }
