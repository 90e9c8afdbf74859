"""Replay: what exists at Gemini, minus what is stored, goes into the inbox."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from typing import Literal

from receiver.errors import GeminiError
from receiver.gemini.client import Batch
from receiver.inbox.names import split_inbox_name
from receiver.layout import manifest_name
from receiver.storage import Storage

Verdict = Literal["queued", "owed", "buried", "young"]
TOGETHER = 100  # batches looked up at once
STORAGE_THREADS = 8  # a bucket answers in tens of milliseconds; several questions overlap


@dataclass
class Tally:
    """What a replay saw; batches go by their names in the inbox."""

    found: int = 0  # terminal batches within the time asked for
    stored: int = 0  # with a manifest in the storage
    queued: list[str] = field(default_factory=list)  # put into the inbox, or would be in a dry run
    owed: int = 0  # in the inbox already
    buried: int = 0  # given up before, and left so
    young: int = 0  # so fresh that the callback may still be on its way
    unfinished: int = 0  # still pending or running at Gemini
    unclear: list[str] = field(default_factory=list)  # Gemini did not show them: no verdict


def add_tallies(tallies: Iterable[Tally]) -> Tally:
    """What the replays of several projects saw together."""
    whole = Tally()
    for one in tallies:
        for part in fields(Tally):
            setattr(whole, part.name, getattr(whole, part.name) + getattr(one, part.name))
    return whole


@dataclass(frozen=True)
class Window:
    """Ends of batches that a replay looks at: RFC 3339 in UTC. One whose end is not known is in every window."""

    since: str | None = None  # inclusive
    until: str | None = None  # exclusive

    def holds(self, batch: Batch) -> bool:
        is_early = batch.ended and self.since and batch.ended < self.since
        is_late = batch.ended and self.until and batch.ended >= self.until
        return not (is_early or is_late)


def find_stored(storage: Storage, names: Sequence[str]) -> set[str]:
    """Those of the batches that have a manifest. Raises StorageError."""

    def is_stored(name: str) -> bool:
        return storage.exists(manifest_name(split_inbox_name(name)[1].removeprefix("batches/")))

    with ThreadPoolExecutor(STORAGE_THREADS) as pool:
        return {name for name, found in zip(names, pool.map(is_stored, names), strict=True) if found}


def replay(
    listed: Iterable[Batch],
    get_batch: Callable[[str], Batch],
    stored_among: Callable[[Sequence[str]], set[str]],
    admit: Callable[[Sequence[Batch]], Sequence[Verdict]],
    window: Window,
) -> Tally:
    """Look at every listed batch and admit the terminal ones that have no manifest.

    A batch that is listed as unfinished may have ended since, so it is asked for by name. One that Gemini refuses to
    show gets no verdict; any other error of Gemini, the storage or `admit` ends the replay.
    """
    tally = Tally()
    candidates = _candidates(listed, window)
    while group := list(islice(candidates, TOGETHER)):
        stored = stored_among([batch.name for batch in group])
        ended = [_settled(batch, get_batch, tally) for batch in group if batch.name not in stored]
        missing = [batch for batch in ended if batch is not None and window.holds(batch)]
        tally.stored += len(stored)
        tally.found += len(stored) + len(missing)
        for batch, verdict in zip(missing, admit(missing), strict=True):
            _count(tally, batch, verdict)
    return tally


def _candidates(listed: Iterable[Batch], window: Window) -> Iterator[Batch]:
    seen = set[str]()
    for batch in listed:
        if batch.name not in seen and window.holds(batch):
            seen.add(batch.name)
            yield replace(batch, inlined=None)  # a group of them would not fit in memory


def ask_each(names: Iterable[str], get_batch: Callable[[str], Batch], unclear: list[str]) -> Iterator[Batch]:
    """The batches of these names; those that Gemini refuses to show are added to `unclear`. Raises GeminiError."""
    for name in names:
        try:
            yield get_batch(name)
        except GeminiError as error:
            if error.retryable:
                raise
            unclear.append(name)


def _settled(batch: Batch, get_batch: Callable[[str], Batch], tally: Tally) -> Batch | None:
    """The batch once it is terminal; otherwise it is counted and None."""
    if batch.is_terminal:
        return batch
    for latest in ask_each([batch.name], get_batch, tally.unclear):
        if latest.is_terminal:
            return replace(latest, inlined=None)
        tally.unfinished += 1
    return None


def _count(tally: Tally, batch: Batch, verdict: Verdict) -> None:
    if verdict == "queued":
        tally.queued.append(batch.name)
    elif verdict == "owed":
        tally.owed += 1
    elif verdict == "buried":
        tally.buried += 1
    else:
        tally.young += 1
