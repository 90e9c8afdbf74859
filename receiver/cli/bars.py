"""Bars on a terminal. Loads rich, which takes 50 ms: only what has a terminal before it comes here."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from receiver.cli.amounts import Unit, show_amount
from receiver.cli.printable import printable

BAR_COLUMNS = 24


def open_console() -> Console:
    """stderr; it follows NO_COLOR."""
    return Console(stderr=True, highlight=False)


class _Amount(ProgressColumn):
    """What is done, of how much."""

    def __init__(self, unit: Unit) -> None:
        super().__init__(Column(no_wrap=True))
        self._unit = unit

    def render(self, task: Task) -> Text:
        return Text(show_amount(task.completed, task.total, self._unit))


class _Bar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self, count: int = 1) -> None:
        self._progress.advance(self._task, count)

    def expect(self, whole: int) -> None:
        self._progress.update(self._task, total=whole)

    def say(self, words: str) -> None:
        self._progress.console.print(Text(printable(words)))


@contextmanager
def open_bar(label: str, unit: Unit, whole: int | None) -> Iterator[_Bar]:
    """A bar on stderr for as long as the `with` lasts; a moving one while nobody knows of how much."""
    with Progress(
        TextColumn(
            "{task.description}",
            markup=False,
            table_column=Column(no_wrap=True, overflow="ellipsis"),
        ),
        BarColumn(BAR_COLUMNS),
        _Amount(unit),
        console=open_console(),
        transient=True,
        redirect_stdout=False,
    ) as progress:
        yield _Bar(progress, progress.add_task(printable(label), total=whole))
