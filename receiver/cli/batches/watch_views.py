"""What is shown of watched batches: bars on a terminal, lines in a pipe, objects for programs."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

import click
import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from receiver.cli.output import printable, shorten, show_age, show_moment
from receiver.cli.progress import is_lively
from receiver.outputs.wording import count_of
from receiver.recovery.batch_watch import BatchStatus

BAR, NARROW_BAR = 20, 10  # columns
NARROW = 80  # columns of a terminal
MAX_NAME = 24
HEAD_LINES = 3  # beside the batches: the sum, how many were left out, and the cursor's line


class View(Protocol):
    def show(self, statuses: Sequence[BatchStatus], changed: Sequence[BatchStatus]) -> None:
        """Show everything that is watched, and what has changed since the last time."""

    def print(self, text: str) -> None:
        """Print a line beside it."""


@contextmanager
def open_view(*, as_json: bool) -> Iterator[View]:
    """Bars on stderr where it is a terminal, and lines on stdout where that is none."""
    if as_json:
        yield _Objects()
    elif is_lively():
        console = Console(stderr=True, highlight=False)  # it follows NO_COLOR
        with Live(console=console, auto_refresh=False, redirect_stdout=False) as live:
            board = _Board(live)
            yield board if sys.stdout.isatty() else _Both(board)
    else:
        yield _Lines()


def describe(status: BatchStatus) -> str:
    """State and counts of one batch."""
    counts = f"{status.succeeded}/{'?' if status.requests is None else status.requests}"
    failed = f", {status.failed} failed" if status.failed and not status.stored else ""
    return f"{printable(status.state)} {counts}{failed}{_describe_storing(status)}"


def _describe_storing(status: BatchStatus) -> str:
    if status.stored:
        return f", {printable(status.judgement or 'stored')}"
    if not status.has_ended or status.is_done:
        return ""
    if status.is_queued is False:
        why = "no webhook has come"
        if status.next_run_ms is not None:
            why += f"; the next reconcile run is due at {show_moment(status.next_run_ms)}"
    else:
        why = shorten(status.cause or "")
    return f", not stored yet{f' ({printable(why)})' if why else ''}"


class _Lines:
    """One line per change."""

    def show(self, statuses: Sequence[BatchStatus], changed: Sequence[BatchStatus]) -> None:  # noqa: ARG002 - the signature of all
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for status in changed:
            click.echo(f"{now}  {status.batch}  {describe(status)}")
        sys.stdout.flush()

    def print(self, text: str) -> None:
        click.echo(text, err=True)


class _Objects(_Lines):
    def show(self, statuses: Sequence[BatchStatus], changed: Sequence[BatchStatus]) -> None:  # noqa: ARG002 - likewise
        for status in changed:
            click.echo(msgspec.json.encode(status))
        sys.stdout.flush()


class _Both(_Lines):
    """Lines in the pipe, bars for whoever waits."""

    def __init__(self, board: View) -> None:
        self._board = board

    def show(self, statuses: Sequence[BatchStatus], changed: Sequence[BatchStatus]) -> None:
        super().show(statuses, changed)
        self._board.show(statuses, changed)

    def print(self, text: str) -> None:
        self._board.print(text)


class _Board:
    """A bar per batch, drawn again in place, with unfinished batches first.

    Batches for which the terminal has no line are counted, and long lines are cut at its edge. The
    last drawing stays.
    """

    def __init__(self, live: Live) -> None:
        self._live, self._console = live, live.console
        self._statuses: Sequence[BatchStatus] = ()

    def show(self, statuses: Sequence[BatchStatus], changed: Sequence[BatchStatus]) -> None:  # noqa: ARG002 - likewise
        self._statuses = sorted(statuses, key=lambda status: status.is_done)
        self._draw("")

    def print(self, text: str) -> None:
        self._draw(printable(text))

    def _draw(self, message: str) -> None:
        done, whole = sum(status.is_done for status in self._statuses), len(self._statuses)
        counts = f"  {done} of {count_of(whole, 'batch', 'batches')} done  "
        head = _line("  ", self._bar(done, 0, whole), counts, Text(message, "yellow"))

        shown = self._statuses[: max(1, self._console.height - HEAD_LINES)]
        texts = [f"{describe(status)}  {_age(status)}".rstrip() for status in shown]
        width = max(map(len, texts), default=0)
        rows = [
            self._row(status, text.ljust(width)) for status, text in zip(shown, texts, strict=True)
        ]
        left = whole - len(shown)
        rest = [Text(f"… and {left} more")] if left else []
        self._live.update(Group(head, *rows, *rest), refresh=True)

    def _row(self, status: BatchStatus, counts: str) -> Text:
        """State and counts come before the names, which may be long."""
        mark = Text("! ", "red") if status.wrong else Text("  ")
        bar = self._bar(status.succeeded, status.failed, status.requests or 0)
        shown = shorten(status.display_name or "", MAX_NAME)
        name = Text(f"{shown}  " if shown else "", "dim")
        return _line(mark, bar, f"  {counts}  ", name, status.batch)

    def _bar(self, well: int, failed: int, whole: int) -> Text:
        """The shares that went well and that failed; a single failure can be seen too."""
        columns = BAR if self._console.width >= NARROW else NARROW_BAR
        full, empty = ("#", "-") if self._console.options.ascii_only else ("━", "─")
        bad = min(columns, -(-columns * failed // whole)) if whole else 0
        good = min(columns - bad, columns * well // whole) if whole else 0
        return _line(
            Text(full * good, "green"),
            Text(full * bad, "red"),
            Text(empty * (columns - good - bad), "dim"),
        )


def _line(*parts: str | Text) -> Text:
    """One line of plain texts: nothing in them is markup."""
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _age(status: BatchStatus) -> str:
    """How long ago it was created; empty once it is done."""
    if status.is_done or not status.created:
        return ""
    try:
        created = datetime.fromisoformat(status.created)
    except ValueError:
        return ""
    return show_age(int((datetime.now(UTC) - created).total_seconds() * 1000))
