"""What every command shares: how it says our own errors, and the settings of its process."""

import logging
import os
from functools import partial
from typing import Any, NoReturn

import click

from receiver.cli.env_file import complete_environment, loaded_environment
from receiver.errors import ReceiverError, SettingsError
from receiver.settings.settings import VARIABLES, Settings, read_settings
from receiver.telemetry.logs import set_up_logs

log = logging.getLogger(__name__)


class Command(click.Command):
    """A command that reads `.env` first, and says our own errors without a traceback."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        if parent is not None:
            complete_environment(parent)  # now, since options may take variables as defaults
        return super().make_context(info_name, args, parent, **extra)

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
    return "\b\nSettings come from the environment, and what it lacks from .env:\n" + "\n".join(
        lines
    )


def warn_of_unknown(settings: Settings) -> None:
    """At the start of a process that runs for long: what looks like a setting and is none."""
    for text in settings.unknown:
        log.warning("setting.unknown", extra={"cause": text})


def load_settings(**overrides: object) -> Settings:
    """The settings of this process, with its logs set up.

    Raises SettingsError, whose message says where settings were looked for, and EnvFileError.
    """
    note = loaded_environment().note
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        settings = read_settings(os.environ, **given)
    except SettingsError as error:
        raise SettingsError(f"{error}\n{note}") from None
    set_up_logs(settings.log_level, settings.log_format)
    return settings
