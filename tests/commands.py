"""Our commands in this process: for what they say and how they end, where a process is not the point."""

import logging
from collections.abc import Mapping

from click.testing import CliRunner, Result

from receiver.cli import main


def invoke(environ: Mapping[str, str], *args: str) -> Result:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        return CliRunner().invoke(main, args, env=environ)
    finally:  # the commands set up logs for a whole process
        root.handlers[:] = handlers
        root.setLevel(level)
