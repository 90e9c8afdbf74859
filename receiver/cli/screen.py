"""Lines on a terminal that are written again in place, cut to its size."""

import shutil
from collections.abc import Sequence
from typing import TextIO
from unicodedata import combining, east_asian_width

BAR = 20  # characters


class Screen:
    """Shows a list of lines, and later another one in its place."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._shown = stream, 0

    def show(self, lines: Sequence[str]) -> None:
        """Replace what was shown; what is too much for the terminal is left out and counted."""
        width, height = shutil.get_terminal_size()
        fitting = [fit(line, width - 1) for line in _fold(lines, height - 1)]
        back = f"\x1b[{self._shown}F\x1b[J" if self._shown else ""
        self._stream.write(back + "".join(f"{line}\n" for line in fitting))
        self._stream.flush()
        self._shown = len(fitting)


def _fold(lines: Sequence[str], most: int) -> list[str]:
    if len(lines) <= most:
        return list(lines)
    kept = max(0, most - 1)
    return [*lines[:kept], f"… and {len(lines) - kept} more"]


def fit(line: str, columns: int) -> str:
    """The start of a line that takes at most so many columns.

    >>> fit("報告 one", 4), fit("one", 4)
    ('報告', 'one')
    """
    used = 0
    for place, char in enumerate(line):
        used += 0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1
        if used > columns:
            return line[:place]
    return line


def bar(done: int, whole: int) -> str:
    """How much of the whole is done.

    >>> bar(5, 10), bar(0, 0)
    ('[##########----------]', '[--------------------]')
    """
    filled = BAR * min(done, whole) // whole if whole else 0
    return f"[{'#' * filled}{'-' * (BAR - filled)}]"
