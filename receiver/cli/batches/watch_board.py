"""Watched batches on a terminal: a bar a batch, written again in place. Loads rich, as `bars` does."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Group
from rich.live import Live
from rich.text import Text

from receiver.cli.bars import open_console
from receiver.cli.batches.watch_words import describe
from receiver.cli.moments import show_age
from receiver.cli.printable import printable
from receiver.recovery.batch_watch import BatchStatus

BAR, NARROW_BAR = 20, 10  # columns
NARROW = 80  # columns of a terminal
HEAD_LINES = 3  # seen beside the batches: the whole, how many were left out, and the cursor's line


class Board:
    """What is not done comes first; what is too much for the terminal is counted, and cut at its edge."""

    def __init__(self, live: Live) -> None:
        self._live, self._console = live, live.console
        self._statuses: Sequence[BatchStatus] = ()

    def show(self, statuses: Sequence[BatchStatus], changed: Sequence[BatchStatus]) -> None:  # noqa: ARG002 - the signature of all
        self._statuses = sorted(statuses, key=lambda status: status.is_done)
        self._draw("")

    def say(self, words: str) -> None:
        self._draw(printable(words))

    def _draw(self, words: str) -> None:
        done, whole = sum(status.is_done for status in self._statuses), len(self._statuses)
        head = _line(
            "  ",
            self._bar(done, 0, whole),
            f"  {done} of {whole} batches done  ",
            Text(words, "yellow"),
        )
        shown = self._statuses[: max(1, self._console.height - HEAD_LINES)]
        left = whole - len(shown)
        rest = [Text(f"… and {left} more")] if left else []
        said = [f"{describe(status)}  {_age(status)}".rstrip() for status in shown]
        longest = max(map(len, said), default=0)
        rows = [
            self._row(status, words.ljust(longest))
            for status, words in zip(shown, said, strict=True)
        ]
        self._live.update(Group(head, *rows, *rest), refresh=True)

    def _row(self, status: BatchStatus, words: str) -> Text:
        """State and counts before the names, which may be long, and which are whatever others wrote."""
        mark = Text("! ", "red") if status.wrong else Text("  ")
        name = Text(printable(status.display_name or ""), "dim")
        bar = self._bar(status.succeeded, status.failed, status.requests or 0)
        return _line(mark, bar, f"  {words}  {status.batch}  ", name)

    def _bar(self, well: int, failed: int, whole: int) -> Text:
        """Of the whole, what went well and what failed; any failure is seen."""
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
    """One line, of texts alone: nothing in them is markup."""
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _age(status: BatchStatus) -> str:
    """How long ago it was created; nothing once it is done."""
    if status.is_done or not status.created:
        return ""
    try:
        created = datetime.fromisoformat(status.created)
    except ValueError:
        return ""
    return show_age(int((datetime.now(UTC) - created).total_seconds() * 1000))


@contextmanager
def open_board() -> Iterator[Board]:
    """A board on stderr; what it showed last stays there, and the cursor comes back."""
    with Live(console=open_console(), auto_refresh=False, redirect_stdout=False) as live:
        yield Board(live)
