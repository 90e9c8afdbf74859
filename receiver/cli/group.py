"""The root of the command line and what its commands share."""

import os
from typing import Any

import click

from receiver.errors import ReceiverError
from receiver.logs import set_up_logs
from receiver.settings import VARIABLES, Settings, read_settings


class Command(click.Command):
    """A command that says our own errors in one paragraph instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ReceiverError as error:
            raise click.ClickException(str(error)) from error


class Group(click.Group):
    command_class = Command


def _epilog() -> str:
    lines = [f"{variable.name}\n  {variable.meaning} (default: {variable.default})" for variable in VARIABLES]
    return "\b\nSettings come from the environment:\n" + "\n".join(lines)


@click.group(
    cls=Group, epilog=_epilog(), context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="gemini-batch-receiver")
def cli() -> None:
    """Receive Gemini batch webhooks, store the results, and find what was missed."""


def load_settings(**overrides: object) -> Settings:
    """The settings of this process, with its logs set up."""
    given = {name: value for name, value in overrides.items() if value is not None}
    settings = read_settings(os.environ, **given)
    set_up_logs(settings.log_level, settings.log_format)
    return settings
