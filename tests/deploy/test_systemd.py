"""The units as systemd reads them, and what they start."""

import subprocess
import sysconfig
from collections import defaultdict
from pathlib import Path

import pytest

from tests.deploy.reading import DEPLOY, LONGEST_STOP_S, check_command, check_environment, require_secrets
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
    assert check_command(command.removeprefix(f"{BIN}/")) == {"web": "serve", "worker": "worker"}[name]
    variables = dict(word.split("=", 1) for line in told["Environment"] for word in line.split())
    check_environment(variables)
    require_secrets(name, variables | {"STORAGE_URL": "in the EnvironmentFile"})
    credentials = {f"%d/{line.partition(':')[0]}" for line in told["LoadCredential"]}
    assert credentials == {path for variable, path in variables.items() if variable.endswith("_FILE")}


@pytest.mark.parametrize("name", UNITS)
def test_unit_stops_in_time(name: str) -> None:
    told = options(UNITS[name])
    assert (told["KillSignal"], told["KillMode"], told["Restart"]) == (["SIGTERM"], ["mixed"], ["always"])
    assert int(told["TimeoutStopSec"][0]) > LONGEST_STOP_S


@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_nothing_wrong(name: str, tmp_path: Path) -> None:
    require("systemd-analyze")
    unit = tmp_path / UNITS[name].replace("@", "@1")
    unit.write_text((DEPLOY / "systemd" / UNITS[name]).read_text().replace(BIN, sysconfig.get_path("scripts")))
    argv = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    ours = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, ours) == (0, [])
