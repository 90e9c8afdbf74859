"""What every command shares: how it says our own errors, and the settings of its process."""

import logging
import os
from functools import partial
from typing import Any, NoReturn

import click

from receiver.errors import ReceiverError, SettingsError
from receiver.settings.settings import VARIABLES, Settings, read_settings
from receiver.telemetry.logs import set_up_logs

log = logging.getLogger(__name__)


class Command(click.Command):
    """A command that says our own errors in one paragraph instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (ReceiverError, click.ClickException) as error:
            if ctx.find_root().params.get("log_errors"):
                _log_error(ctx, error)
            if isinstance(error, click.ClickException):
                raise
            raise click.ClickException(str(error)) from error


command = partial(click.command, cls=Command)


def _log_error(ctx: click.Context, error: Exception) -> NoReturn:
    """Say it as an event: stderr is the log of the worker that started this command."""
    if isinstance(error, SettingsError):  # then nobody has set the logs up
        set_up_logs("INFO", "auto")
    cause = error.format_message() if isinstance(error, click.ClickException) else str(error)
    log.error("command.failed", extra={"command": ctx.info_name, "cause": cause})
    ctx.exit(1)


def describe_settings() -> str:
    """Every setting with its meaning and default, for the end of the program's help."""
    lines = [
        f"{variable.name}\n  {variable.meaning} (default: {variable.default})"
        for variable in VARIABLES
    ]
    return "\b\nSettings come from the environment:\n" + "\n".join(lines)


def warn_of_unknown(settings: Settings) -> None:
    """At the start of a process that runs for long: what looks like a setting and is none."""
    for text in settings.unknown:
        log.warning("setting.unknown", extra={"cause": text})


def load_settings(**overrides: object) -> Settings:
    """The settings of this process, with its logs set up."""
    given = {name: value for name, value in overrides.items() if value is not None}
    settings = read_settings(os.environ, **given)
    set_up_logs(settings.log_level, settings.log_format)
    return settings
