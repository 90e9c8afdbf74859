"""The units as systemd reads them, and what they start."""

import subprocess
import sysconfig
from collections import defaultdict
from pathlib import Path

import pytest

from tests.deploy.reading import (
    DEPLOY,
    LONGEST_STOP_S,
    check_command,
    check_environment,
    require_secrets,
)
from tests.programs import require

UNITS = {"web": "gemini-batch-web.service", "worker": "gemini-batch-worker@.service"}
BIN = "/opt/gemini-batch-receiver/bin"


def options(unit: str) -> dict[str, list[str]]:
    found = defaultdict[str, list[str]](list)
    for line in (DEPLOY / "systemd" / unit).read_text().splitlines():
        name, mark, value = line.partition("=")
        if mark and not line.startswith("#"):
            found[name].append(value)
    return found


@pytest.mark.parametrize("name", UNITS)
def test_unit_starts_our_process(name: str) -> None:
    told = options(UNITS[name])
    (command,) = told["ExecStart"]
    assert (
        check_command(command.removeprefix(f"{BIN}/")) == {"web": "serve", "worker": "worker"}[name]
    )
    variables = dict(word.split("=", 1) for line in told["Environment"] for word in line.split())
    check_environment(variables)
    require_secrets(name, variables | {"STORAGE_URL": "in the EnvironmentFile"})
    credentials = {f"%d/{line.partition(':')[0]}" for line in told["LoadCredential"]}
    assert credentials == {
        path for variable, path in variables.items() if variable.endswith("_FILE")
    }


def test_commands_run_as_the_units_do() -> None:
    script = (DEPLOY / "systemd" / "gemini-batch").read_text()
    told = options(UNITS["web"])
    assert all(path.partition(":")[0] in script for path in told["LoadCredential"])
    assert f"{BIN}/gemini-batch-receiver" in script
    for name in ("EnvironmentFile", "StateDirectory", "StateDirectoryMode", "UMask"):
        assert (
            f"--property={name}={told[name][0]}".replace("/etc/gemini-batch-receiver", "$folder")
            in script
        )
    for name, option in (
        ("User", "uid"),
        ("Group", "gid"),
        ("WorkingDirectory", "working-directory"),
    ):
        assert f"--{option}={told[name][0]}" in script
    subprocess.run(["sh", "-n", str(DEPLOY / "systemd" / "gemini-batch")], check=True, timeout=10)


@pytest.mark.parametrize("name", UNITS)
def test_unit_waits_for_a_late_redis(name: str) -> None:
    told = options(UNITS[name])
    assert (told["Restart"], told["StartLimitIntervalSec"]) == (["always"], ["0"])


@pytest.mark.parametrize("name", UNITS)
def test_unit_stops_in_time(name: str) -> None:
    told = options(UNITS[name])
    assert (told["KillSignal"], told["KillMode"], told["Restart"]) == (
        ["SIGTERM"],
        ["mixed"],
        ["always"],
    )
    assert int(told["TimeoutStopSec"][0]) > LONGEST_STOP_S


@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_nothing_wrong(name: str, tmp_path: Path) -> None:
    require("systemd-analyze", "systemd")
    unit = tmp_path / UNITS[name].replace("@", "@1")
    unit.write_text(
        (DEPLOY / "systemd" / UNITS[name]).read_text().replace(BIN, sysconfig.get_path("scripts"))
    )
    argv = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    ours = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, ours) == (0, [])
