"""Replay: what exists at Gemini, minus what is stored, goes into the inbox."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from receiver.gemini import Batch
from receiver.inbox import Arrival


@dataclass
class Tally:
    """What a replay saw."""

    found: int = 0  # terminal batches within the time asked for
    stored: int = 0  # with a manifest in the storage
    queued: list[str] = field(default_factory=list)  # put into the inbox, or would be in a dry run
    owed: int = 0  # in the inbox already
    unfinished: int = 0  # still pending or running at Gemini


def is_within(batch: Batch, since: str | None) -> bool:
    """Whether the batch ended at `since` or later, or began then where no end is known. Both are RFC 3339 in UTC."""
    moment = batch.ended or batch.created
    return since is None or moment is None or moment >= since


def replay(
    listed: Iterable[Batch],
    get_batch: Callable[[str], Batch],
    is_stored: Callable[[str], bool],
    accept: Callable[[Arrival], bool],
    *,
    since: str | None = None,
) -> Tally:
    """Look at every listed batch and accept the terminal ones that have no manifest.

    A listed batch is only a hint: each one that is not stored is asked for by name before a verdict.
    """
    tally = Tally()
    for name in _candidates(listed, since):
        if is_stored(name):
            tally.found += 1
            tally.stored += 1
            continue
        batch = get_batch(name)
        if not batch.is_terminal:
            tally.unfinished += 1
            continue
        tally.found += 1
        if accept(Arrival(batch=batch.name, event=f"batch.{batch.state.lower()}", door="replay", reopen="all")):
            tally.queued.append(batch.name)
        else:
            tally.owed += 1
    return tally


def _candidates(listed: Iterable[Batch], since: str | None) -> Iterator[str]:
    seen = set[str]()
    for batch in listed:
        if batch.name not in seen and is_within(batch, since):
            seen.add(batch.name)
            yield batch.name
