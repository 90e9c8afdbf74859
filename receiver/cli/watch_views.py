"""What is seen of watched batches: bars on a terminal, plain lines in a pipe, objects for programs."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

import click
import msgspec

from receiver.cli.moments import show_age
from receiver.cli.printable import printable
from receiver.cli.screen import Screen, bar
from receiver.watch import Sight


class View(Protocol):
    def show(self, sights: Sequence[Sight], changed: Sequence[Sight]) -> None:
        """Show a look: everything that is watched, and what has changed."""

    def say(self, words: str) -> None:
        """Say something beside it."""


def choose_view(*, as_json: bool) -> View:
    if as_json:
        return _Objects()
    return _Board() if sys.stdout.isatty() else _Lines()


def describe(sight: Sight) -> str:
    """State and counts of one batch."""
    counts = f"{sight.succeeded}/{'?' if sight.requests is None else sight.requests}"
    failed = f", {sight.failed} failed" if sight.failed else ""
    return f"{printable(sight.state)} {counts}{failed}{_place(sight)}"


def _place(sight: Sight) -> str:
    if sight.stored:
        return ", stored"
    return ", not stored yet" if sight.has_ended and not sight.is_done else ""


class _Lines:
    """One line a change."""

    def show(self, sights: Sequence[Sight], changed: Sequence[Sight]) -> None:  # noqa: ARG002 - the signature of all
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for sight in changed:
            click.echo(f"{now}  {sight.batch}  {describe(sight)}")
        sys.stdout.flush()

    def say(self, words: str) -> None:
        click.echo(words, err=True)


class _Objects(_Lines):
    def show(self, sights: Sequence[Sight], changed: Sequence[Sight]) -> None:  # noqa: ARG002 - likewise
        for sight in changed:
            click.echo(msgspec.json.encode(sight))
        sys.stdout.flush()


class _Board:
    """A line a batch, written again at every look; what is not done comes first."""

    def __init__(self) -> None:
        self._screen = Screen(sys.stdout)
        self._lines: list[str] = []

    def show(self, sights: Sequence[Sight], changed: Sequence[Sight]) -> None:  # noqa: ARG002 - likewise
        done = sum(sight.is_done for sight in sights)
        ordered = sorted(sights, key=lambda sight: sight.is_done)
        self._lines = [f"{bar(done, len(sights))}  {done} of {len(sights)} batches done", *map(_bar_line, ordered)]
        self._screen.show(self._lines)

    def say(self, words: str) -> None:
        first, *rest = self._lines
        self._screen.show([f"{first}  {printable(words)}", *rest])


def _bar_line(sight: Sight) -> str:
    filled = bar(sight.succeeded + sight.failed, sight.requests or 0)
    mark = "!" if sight.wrong else " "
    return f"{mark} {filled}  {sight.batch}  {describe(sight)}  {_age(sight)}  {printable(sight.display_name or '')}"


def _age(sight: Sight) -> str:
    """How long ago it was created; nothing once it is done."""
    if sight.is_done or not sight.created:
        return ""
    try:
        created = datetime.fromisoformat(sight.created)
    except ValueError:
        return ""
    return show_age(int((datetime.now(UTC) - created).total_seconds() * 1000))
