"""`settings`: what can be set."""

import click

from receiver.cli.command import command
from receiver.settings.settings import VARIABLES

NAME_WIDTH = 28


@command("settings")
def list_settings() -> None:
    """List every setting with its meaning and default.

    A setting is a variable of the environment or a line of `.env`; `init --example` prints such a
    file.
    """
    formatter = click.get_current_context().make_formatter()
    rows = [(one.name, f"{one.meaning} (default: {one.default})") for one in VARIABLES]
    formatter.write_dl(rows, col_max=NAME_WIDTH)
    click.echo(formatter.getvalue(), nl=False)
