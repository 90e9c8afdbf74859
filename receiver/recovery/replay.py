"""Replay: what exists at Gemini, minus what is stored, goes into the inbox."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from typing import Literal

from receiver.batch_names import split_inbox_name
from receiver.errors import GeminiError
from receiver.gemini.operations import Batch, Unread
from receiver.outputs.paths import manifest_name
from receiver.storage import Storage
from receiver.storage.ordered_map import ordered_map

Verdict = Literal["queued", "owed", "buried", "young", "expired"]
TOGETHER = 100  # batches looked up at once
MAX_FAULTS = 3  # of Gemini in a row, when batches are asked for one by one: then it is away, and not one batch odd


@dataclass
class ReplayCounts:
    """What a replay saw; batches go by their names in the inbox."""

    found: int = 0  # terminal batches within the time asked for
    stored: int = 0  # with a manifest in the storage
    queued: list[str] = field(default_factory=list)  # put into the inbox, or would be in a dry run
    owed: int = 0  # in the inbox already
    buried: int = 0  # given up before, and left so
    young: int = 0  # so fresh that the callback may still be on its way
    unfinished: int = 0  # still pending or running at Gemini
    expired: list[str] = field(
        default_factory=list
    )  # ended longer ago than results live, and have none any more
    unclear: list[str] = field(
        default_factory=list
    )  # Gemini did not show them, or not readably: no verdict
    reasons: list[str] = field(default_factory=list)  # why, for each of them

    def note_unclear(self, name: str, reason: str) -> None:
        """Count what gets no verdict."""
        self.unclear.append(name or "(no name)")
        self.reasons.append(reason)


def add_counts(tallies: Iterable[ReplayCounts]) -> ReplayCounts:
    """What the replays of several projects saw together."""
    whole = ReplayCounts()
    for one in tallies:
        for part in fields(ReplayCounts):
            setattr(whole, part.name, getattr(whole, part.name) + getattr(one, part.name))
    return whole


@dataclass(frozen=True)
class Window:
    """Ends of batches that a replay looks at: RFC 3339 in UTC. One whose end is not known is in every window."""

    since: str | None = None  # inclusive
    until: str | None = None  # exclusive
    also: frozenset[str] = frozenset()  # batches that are looked at whenever they ended

    def holds(self, batch: Batch) -> bool:
        is_early = batch.ended and self.since and batch.ended < self.since
        is_late = batch.ended and self.until and batch.ended >= self.until
        return batch.name in self.also or not (is_early or is_late)


def find_stored(storage: Storage, names: Sequence[str]) -> set[str]:
    """Those of the batches that have a manifest. Raises StorageError."""

    def is_stored(name: str) -> bool:
        return storage.exists(manifest_name(split_inbox_name(name)[1].removeprefix("batches/")))

    stored = zip(names, ordered_map(is_stored, names), strict=True)
    return {name for name, found in stored if found}


def replay(
    listed: Iterable[Batch | Unread],
    get_batch: Callable[[str], Batch],
    stored_among: Callable[[Sequence[str]], set[str]],
    admit: Callable[[Sequence[Batch]], Sequence[Verdict]],
    window: Window,
) -> ReplayCounts:
    """Look at every listed batch and admit the terminal ones that have no manifest.

    A batch that is listed as unfinished may have ended since, so it is asked for by name. One that Gemini does not
    show, or that can't be read, gets no verdict. The replay ends with an error of the storage or of `admit`, and with
    one of Gemini that says nothing about a single batch.
    """
    tally = ReplayCounts()
    candidates = _candidates(listed, window, tally)
    ask = Asking(get_batch, tally)
    while group := list(islice(candidates, TOGETHER)):
        stored = stored_among([batch.name for batch in group])
        ended = [_settled(batch, ask, tally) for batch in group if batch.name not in stored]
        missing = [batch for batch in ended if batch is not None and window.holds(batch)]
        tally.stored += len(stored)
        tally.found += len(stored) + len(missing)
        for batch, verdict in zip(missing, admit(missing), strict=True):
            _count(tally, batch, verdict)
    return tally


def _candidates(
    listed: Iterable[Batch | Unread], window: Window, tally: ReplayCounts
) -> Iterator[Batch]:
    seen = set[str]()
    for batch in listed:
        if isinstance(batch, Unread):
            tally.note_unclear(batch.name, f"can't be read: {batch.reason}")
        elif batch.name not in seen and window.holds(batch):
            seen.add(batch.name)
            yield replace(batch, inlined=None)  # a group of them would not fit in memory


class Asking:
    """Asks for batches by name; one that Gemini does not show, or not readably, is unclear and ends nothing."""

    def __init__(self, get_batch: Callable[[str], Batch], tally: ReplayCounts) -> None:
        self._get_batch, self._tally = get_batch, tally
        self._faults = 0  # in a row

    def get(self, name: str) -> Batch | None:
        """The batch; None where it is unclear. Raises GeminiError once Gemini itself is away."""
        try:
            batch = self._get_batch(name)
        except GeminiError as error:
            self._faults += error.fault == "outside"
            if self._faults >= MAX_FAULTS:
                raise
            self._tally.note_unclear(name, str(error))
            return None
        self._faults = 0
        return batch


def _settled(batch: Batch, asking: Asking, tally: ReplayCounts) -> Batch | None:
    """The batch once it is terminal; otherwise it is counted and None."""
    if batch.is_terminal:
        return batch
    latest = asking.get(batch.name)
    if latest is None:
        return None
    if latest.is_terminal:
        return replace(latest, inlined=None)
    tally.unfinished += 1
    return None


def _count(tally: ReplayCounts, batch: Batch, verdict: Verdict) -> None:
    if verdict in ("queued", "expired"):
        names: list[str] = getattr(tally, verdict)
        names.append(batch.name)
    else:
        setattr(tally, verdict, getattr(tally, verdict) + 1)
