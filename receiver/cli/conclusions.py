"""What a command says at its end that was asked to do something to several things."""

from collections.abc import Callable, Sequence

import click
import msgspec


def conclude(
    done: Sequence[str],
    asked: Sequence[str],
    verb: str,
    explain: Callable[[str], str],
    *,
    as_json: bool,
) -> None:
    """Say n of m, and of each of the rest why not; exit code 1 when there is a rest."""
    left = [name for name in asked if name not in set(done)]
    if as_json:
        click.echo(msgspec.json.encode({verb: done, "left": left}))
    else:
        for name in left:
            click.echo(explain(name), err=True)
        click.echo(f"{len(done)} of {len(asked)} {verb}")
    if left:
        click.get_current_context().exit(1)
