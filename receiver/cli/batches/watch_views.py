"""What is seen of watched batches: bars on a terminal, plain lines in a pipe, objects for programs."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

import click
import msgspec

from receiver.cli.batches.watch_words import describe
from receiver.cli.progress import is_lively
from receiver.recovery.batch_watch import BatchStatus


class View(Protocol):
    def show(self, statuses: Sequence[BatchStatus], changed: Sequence[BatchStatus]) -> None:
        """Show a look: everything that is watched, and what has changed."""

    def say(self, words: str) -> None:
        """Say something beside it."""


@contextmanager
def open_view(*, as_json: bool) -> Iterator[View]:
    """Bars on stderr where it is a terminal, and lines on stdout where that leads elsewhere."""
    if as_json:
        yield _Objects()
    elif is_lively():
        from receiver.cli.batches.watch_board import open_board  # noqa: PLC0415 - it loads rich

        with open_board() as board:
            yield board if sys.stdout.isatty() else _Both(board)
    else:
        yield _Lines()


class _Lines:
    """One line a change."""

    def show(self, statuses: Sequence[BatchStatus], changed: Sequence[BatchStatus]) -> None:  # noqa: ARG002 - the signature of all
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for status in changed:
            click.echo(f"{now}  {status.batch}  {describe(status)}")
        sys.stdout.flush()

    def say(self, words: str) -> None:
        click.echo(words, err=True)


class _Objects(_Lines):
    def show(self, statuses: Sequence[BatchStatus], changed: Sequence[BatchStatus]) -> None:  # noqa: ARG002 - likewise
        for status in changed:
            click.echo(msgspec.json.encode(status))
        sys.stdout.flush()


class _Both(_Lines):
    """Lines for who reads the pipe, bars for who waits."""

    def __init__(self, board: View) -> None:
        self._board = board

    def show(self, statuses: Sequence[BatchStatus], changed: Sequence[BatchStatus]) -> None:
        super().show(statuses, changed)
        self._board.show(statuses, changed)

    def say(self, words: str) -> None:
        self._board.say(words)
