"""The types of notices, and which of them a target wants. Pure."""

from collections.abc import Sequence
from typing import Literal, get_args

NoticeType = Literal[
    "results.stored",
    "results.failed",
    "batch.buried",
    "batch.overdue",
    "submission.completed",
    "submission.stopped",
    "submission.buried",
    "receiver.test",
]
_TYPES: tuple[NoticeType, ...] = get_args(NoticeType)


def find_events(words: Sequence[str]) -> frozenset[NoticeType] | None:
    """The types that the words name; None, for all of them, where there is no word.

    >>> sorted(find_events(["batch.*", "results.failed"]))
    ['batch.buried', 'batch.overdue', 'results.failed']
    """
    return frozenset(kind for word in words for kind in _find_types(word)) if words else None


def _find_types(word: str) -> list[NoticeType]:
    found = [kind for kind in _TYPES if word in {kind, f"{kind.partition('.')[0]}.*"}]
    if not found:
        known = ", ".join(_TYPES[:-1])
        raise ValueError(f"expected types of notices, such as batch.* or some of {known}")
    return found
