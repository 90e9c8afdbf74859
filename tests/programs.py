"""Programs and packages that may be missing here."""

import importlib.util
import os
import shutil
import sysconfig
from pathlib import Path

import pytest

NODE_PROGRAMS = (
    Path(__file__).parent.parent / ".node" / "node_modules" / ".bin"
)  # where .ci/run installs
TEST_ALL = "pip install -e '.[test-all]'"
OURS = {"deploy", "receiver", "tests", "workers"}


def is_ci() -> bool:
    """Whether everything is to run, and nothing may be missing."""
    return bool(os.environ.get("CI"))


def give_up(what: str, remedy: str) -> None:
    """Skip the test here; in CI, which installs everything, fail it."""
    explain = pytest.fail if is_ci() else pytest.skip
    explain(f"{what} is missing: {remedy}")


def require(program: str, package: str = "") -> None:
    """Skip without a program of the system; `package` is Debian's where it has another name."""
    if shutil.which(program) is None:
        give_up(program, f"apt-get install {package or program}")


def require_module(name: str) -> None:
    """Skip without a module that only `.[test-all]` installs."""
    try:
        found = importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # of its parent
        found = False
    if not found:
        give_up(name, TEST_ALL)


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


def skip_if_module_is_missing(report: pytest.CollectReport, error: BaseException) -> None:
    """Skip a file that imports what only `.[test-all]` installs; in CI that stays an error."""
    cause = error.__cause__
    if not isinstance(cause, ModuleNotFoundError) or is_ci():
        return
    missing = str(cause.name)
    if missing.partition(".")[0] not in OURS:
        report.outcome = "skipped"
        report.longrepr = (report.nodeid, 0, f"Skipped: {missing} is missing: {TEST_ALL}")
