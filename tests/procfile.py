"""The Procfile's own commands, started as a Procfile platform starts them: by a shell, which finds ours on its PATH."""

import os
import sysconfig
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
COMMANDS = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())


def procfile_argv(name: str) -> list[str]:
    return ["sh", "-c", COMMANDS[name]]


def with_path(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, with our command on its PATH."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    return {**environment, "PATH": path, "PYTHONPATH": str(ROOT)}
