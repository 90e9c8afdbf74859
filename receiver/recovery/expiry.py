"""Finds batches with nothing left to store: they ended long ago, and their results are gone."""

import time
from collections.abc import Callable, Sequence

from receiver.gemini.operations import Batch
from receiver.retry import has_outlived

ROUNDS = 3  # a single refusal may be a passing fault, also of old results
PAUSE_S = 1.0


def find_expired(
    batches: Sequence[Batch],
    gives_results: Callable[[Batch], bool | None],
    at_s: float,
    pause_s: float = PAUSE_S,
) -> set[str]:
    """The names of those whose results Gemini refuses in every round; `at_s` is now as Unix time.

    Results that may still live are not asked for, and where Gemini can't say right now they count
    as living.
    """
    left = [
        one
        for one in batches
        if has_outlived(one.ended, at_s) and (one.result_file or one.lacks_output)
    ]
    for number in range(ROUNDS):
        if number and left:
            time.sleep(pause_s)
        left = [one for one in left if gives_results(one) is False]
    return {one.name for one in left}
