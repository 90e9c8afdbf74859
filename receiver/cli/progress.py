"""How far a command is, on stderr: a bar on a terminal, a line now and then in a pipe. stdout is for results alone."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import click

from receiver.cli.amounts import Unit, show_amount

EVERY_S = 5.0  # between two lines in a pipe: what is done before needs none


class Progress(Protocol):
    """Hears how a piece of work goes on."""

    def advance(self, count: int = 1) -> None:
        """So much more is done."""

    def expect(self, whole: int) -> None:
        """So much is to be done, as is known by now."""

    def say(self, words: str) -> None:
        """Say something beside it; what is written to the terminal in another way spoils the bar, logs aside."""


def is_lively() -> bool:
    """Whether stderr is a terminal that can be written again in place."""
    return sys.stderr.isatty() and os.environ.get("TERM") not in {"dumb", "unknown"}


@contextmanager
def show_progress(label: str, unit: Unit, whole: int | None = None) -> Iterator[Progress]:
    """Show how far the work of the `with` is; its bar is gone afterwards."""
    if is_lively():
        from receiver.cli.bars import open_bar  # noqa: PLC0415 - it loads rich, which `serve` and `worker` do without

        with open_bar(label, unit, whole) as bar:
            yield bar
    else:
        yield _Lines(label, unit, whole)


class _Lines:
    def __init__(self, label: str, unit: Unit, whole: int | None) -> None:
        self._label, self._unit, self._whole = label, unit, whole
        self._done = 0
        self._next_s = time.monotonic() + EVERY_S

    def advance(self, count: int = 1) -> None:
        self._done += count
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + EVERY_S
            click.echo(
                f"{self._label}: {show_amount(self._done, self._whole, self._unit)}", err=True
            )

    def expect(self, whole: int) -> None:
        self._whole = whole

    def say(self, words: str) -> None:
        click.echo(words, err=True)
