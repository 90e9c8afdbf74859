"""What commands print, and in which form."""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime

import click
import msgspec

MAX_CAUSE = 80


def printable(text: str) -> str:
    r"""The text with each unprintable character as a question mark.

    Texts of others must not move the cursor, or begin a line of their own.

    >>> printable("a\n\x1b[2Jb")
    'a??[2Jb'
    """
    return "".join(char if char.isprintable() else "?" for char in text)


def printable_lines(text: str) -> str:
    r"""The same of a text of ours that may have several lines.

    >>> printable_lines("2 lines are wrong:\n  \x1b[2Jb")
    '2 lines are wrong:\n  ?[2Jb'
    """
    return "\n".join(printable(line) for line in text.split("\n"))


def shorten(text: str, most: int = MAX_CAUSE) -> str:
    r"""The beginning of a text, on one line.

    >>> shorten("no  such\nfile", 7)
    'no suc…'
    """
    line = printable(" ".join(text.split()))
    return line if len(line) <= most else f"{line[: most - 1]}…"


def show_age(ms: int) -> str:
    """A span of time in its largest unit.

    >>> [show_age(ms) for ms in (900, 119_000, 7_200_000, 200_000_000)]
    ['0s', '1m', '2h', '2d']
    """
    seconds = max(0, ms // 1000)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def show_moment(ms: int) -> str:
    """Unix time in milliseconds as RFC 3339 in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def print_table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[str] = ()
) -> None:
    """Print columns as wide as their contents; those titled in `numbers` are right-aligned.

    Prints nothing where there is no row.
    """
    if not rows:
        return
    shown = [titles, *([printable(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        cells = (
            cell.rjust(width) if title in numbers else cell.ljust(width)
            for title, cell, width in zip(titles, row, widths, strict=True)
        )
        click.echo("  ".join(cells).rstrip())


def print_done(
    done: Sequence[str],
    asked: Sequence[str],
    verb: str,
    explain: Callable[[str], str],
    *,
    as_json: bool,
) -> None:
    """Say how many of the things asked for are done, and of each other one why not.

    The exit code is 1 where one is not done.
    """
    left = [name for name in asked if name not in set(done)]
    if as_json:
        click.echo(msgspec.json.encode({verb: done, "left": left}))
    else:
        for name in left:
            click.echo(explain(name), err=True)
        click.echo(f"{len(done)} of {len(asked)} {verb}")
    if left:
        click.get_current_context().exit(1)
