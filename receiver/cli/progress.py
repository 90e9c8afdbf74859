"""How far a command is, on stderr: a bar on a terminal, now and then a line in a pipe.

rich takes 50 ms to load, so only what has a terminal loads it.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, Protocol

import click

from receiver.cli.output import printable

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

Unit = Literal["bytes", "objects", "batches", "checks", "requests", "rows"]

MEGA = 1_000_000
BAR_COLUMNS = 24
EVERY_S = 5.0  # between two lines in a pipe; what takes less time prints none


class Progress(Protocol):
    """What a command reports of its work."""

    def advance(self, count: int = 1) -> None:
        """So much more is done."""

    def expect(self, whole: int) -> None:
        """So much is to be done, as far as is known."""

    def print(self, text: str) -> None:
        """Print a line beside the bar. Only this and the logs leave the bar intact."""


def show_amount(done: float, whole: float | None, unit: Unit) -> str:
    """What is done, and of how much where that is known.

    >>> show_amount(1_234, None, "batches"), show_amount(2_500_000, 10_000_000, "bytes")
    ('1,234 batches', '2.5 of 10.0 MB')
    """
    counts = [count for count in (done, whole) if count is not None]
    texts = [f"{count / MEGA:,.1f}" if unit == "bytes" else f"{int(count):,}" for count in counts]
    return f"{' of '.join(texts)} {'MB' if unit == 'bytes' else unit}"


def is_lively() -> bool:
    """Whether stderr is a terminal on which lines can be written again."""
    return sys.stderr.isatty() and os.environ.get("TERM") not in {"dumb", "unknown"}


@contextmanager
def show_progress(label: str, unit: Unit, whole: int | None = None) -> Iterator[Progress]:
    """Show how far the work inside the `with` is; its bar is gone afterwards."""
    if is_lively():
        with _open_bar(label, unit, whole) as bar:
            yield bar
    else:
        yield _Lines(label, unit, whole)


@contextmanager
def _open_bar(label: str, unit: Unit, whole: int | None) -> Iterator["_Bar"]:
    """A bar on stderr, which moves to and fro while nobody knows how much there is to do."""
    from rich.console import Console  # noqa: PLC0415 - see above
    from rich.progress import BarColumn, TextColumn  # noqa: PLC0415
    from rich.progress import Progress as RichProgress  # noqa: PLC0415
    from rich.table import Column  # noqa: PLC0415

    label_column = Column(no_wrap=True, overflow="ellipsis")
    with RichProgress(
        TextColumn("{task.description}", markup=False, table_column=label_column),
        BarColumn(BAR_COLUMNS),
        TextColumn("{task.fields[amount]}", markup=False, table_column=Column(no_wrap=True)),
        console=Console(stderr=True, highlight=False),  # it follows NO_COLOR
        transient=True,
        redirect_stdout=False,
    ) as progress:
        amount = show_amount(0, whole, unit)
        task = progress.add_task(printable(label), total=whole, amount=amount)
        yield _Bar(progress, task, unit, whole)


class _Bar:
    def __init__(
        self, progress: "RichProgress", task: "TaskID", unit: Unit, whole: int | None
    ) -> None:
        self._progress, self._task, self._unit = progress, task, unit
        self._done, self._whole = 0, whole

    def advance(self, count: int = 1) -> None:
        self._done += count
        self._update()

    def expect(self, whole: int) -> None:
        self._whole = whole
        self._update()

    def print(self, text: str) -> None:
        self._progress.console.print(printable(text), markup=False)

    def _update(self) -> None:
        amount = show_amount(self._done, self._whole, self._unit)
        self._progress.update(self._task, completed=self._done, total=self._whole, amount=amount)


class _Lines:
    def __init__(self, label: str, unit: Unit, whole: int | None) -> None:
        self._label, self._unit, self._whole = label, unit, whole
        self._done = 0
        self._next_s = time.monotonic() + EVERY_S

    def advance(self, count: int = 1) -> None:
        self._done += count
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + EVERY_S
            amount = show_amount(self._done, self._whole, self._unit)
            click.echo(f"{self._label}: {amount}", err=True)

    def expect(self, whole: int) -> None:
        self._whole = whole

    def print(self, text: str) -> None:
        click.echo(text, err=True)
