"""What every command shares: its examples, its common options, its errors and its settings."""

import logging
import os
from collections.abc import Callable
from typing import Any, NoReturn

import click

from receiver.cli.env_file import complete_environment, loaded_environment
from receiver.cli.output import printable, printable_lines
from receiver.errors import ReceiverError, SettingsError
from receiver.settings.settings import Settings, read_settings
from receiver.telemetry.logs import set_up_logs

log = logging.getLogger(__name__)


class Command(click.Command):
    """A command with examples, which reads `.env` first and prints our own errors plainly.

    `examples` are arguments as a person types them after the command's name.
    """

    def __init__(self, name: str, *, examples: tuple[str, ...], **options: Any) -> None:
        super().__init__(name, **options)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"  {ctx.command_path} {example}".rstrip() + "\n")

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
            if isinstance(error, click.UsageError):
                raise
            raise click.ClickException(printable_lines(_describe(error))) from error


def command(name: str, *examples: str) -> Callable[[Callable[..., Any]], Command]:
    """Make a command of a function; without examples, its own name is the example."""
    return click.command(name, cls=Command, examples=examples or ("",))


def json_option(what: str = "JSON") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--json`, which is for programs: then nothing else is on stdout."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print {what} instead of text.")


limit_option = click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=50,
    show_default=True,
    help="Show at most so many.",
)
yes_option = click.option("--yes", is_flag=True, help="Really do it.")


def _log_error(ctx: click.Context, error: Exception) -> NoReturn:
    """Log an error as an event: stderr is the log of the worker that started this command."""
    if isinstance(error, SettingsError):  # then nobody has set the logs up
        set_up_logs("INFO", "auto")
    log.error("command.failed", extra={"command": ctx.info_name, "cause": _describe(error)})
    ctx.exit(1)


def _describe(error: Exception) -> str:
    return error.format_message() if isinstance(error, click.ClickException) else str(error)


def log_unknown(text: str) -> None:
    """Warn, at the start of a long-running process, of a variable that looks like a setting."""
    log.warning("setting.unknown", extra={"cause": text})


def skip_unknown(_text: str) -> None:
    """For `doctor`, which shows it as a check, and `up`, whose programs log it."""


def _print_unknown(text: str) -> None:
    click.echo(f"warning: {printable(text)}", err=True)


def load_settings(
    *, on_unknown: Callable[[str], None] = _print_unknown, **overrides: object
) -> Settings:
    """The settings of this process, with its logs set up.

    `on_unknown` is told of each variable that looks like a setting and is none. Raises
    SettingsError, whose message says where settings were looked for, and EnvFileError.
    """
    note = loaded_environment().note
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        settings = read_settings(os.environ, **given)
    except SettingsError as error:
        raise SettingsError(f"{error}\n{note}") from None
    set_up_logs(settings.log_level, settings.log_format)
    for text in settings.unknown:
        on_unknown(text)
    return settings
