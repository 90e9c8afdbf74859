"""`.env`, or the file that `--env-file` names: read before a command's options are.

The option itself belongs to the program's group in `receiver.cli`, which imports nothing of this.
"""

import os
import shlex
from pathlib import Path

import click

from receiver.settings.dotenv_loading import DEFAULT_FILE, NO_FILE, Loaded, load_environment

PROGRAM = "gemini-batch-receiver"


def complete_environment(ctx: click.Context) -> None:
    """Add what the environment lacks, once for the program that runs the command."""
    root = ctx.find_root()
    if root.obj is None:
        root.obj = load_environment(os.environ, root.params.get("env_file"))


def loaded_environment(*, may_be_absent: bool = False) -> Loaded:
    """What the running command's environment was completed with.

    Raises EnvFileError where that went wrong. With `may_be_absent`, a named file that is not there
    yet is no error.
    """
    found = click.get_current_context().find_root().obj
    if not isinstance(found, Loaded):
        raise TypeError("the command was not started through the program's own group")
    is_new = may_be_absent and found.file is not None and not found.file.exists()
    if found.problem is not None and not is_new:
        raise found.problem
    return found


def shell_command(file: Path | None) -> str:
    """The program as a shell is to start it in this folder, so that it reads this env file."""
    if file == Path(DEFAULT_FILE).absolute():
        return PROGRAM
    return f"{PROGRAM} --env-file {shlex.quote(str(file or NO_FILE))}"


def shell_secret_option(file: Path | None) -> str:
    """The option, for a shell, with which `webhooks create` stores a secret in this env file."""
    if file is None:
        return ""
    is_usual = file.absolute() == Path(DEFAULT_FILE).absolute()
    return f" --env-file {shlex.quote(DEFAULT_FILE if is_usual else str(file))}"
