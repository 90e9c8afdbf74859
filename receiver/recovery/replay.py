"""Replay: what exists at Gemini, minus what is stored, goes into the inbox."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from typing import Literal

from receiver.errors import GeminiError
from receiver.gemini.operations import Batch, Unread
from receiver.outputs.paths import manifest_name
from receiver.storage import Storage
from receiver.storage.ordered_map import ordered_map

Verdict = Literal["queued", "pending", "buried", "young", "expired"]
GROUP_SIZE = 100  # batches that are looked up together
MAX_FAULTS = 3  # of Gemini in a row: then it is away, and not just one batch odd


@dataclass
class ReplayCounts:
    """What a replay saw; batches go by their names in the inbox."""

    found: int = 0  # terminal batches within the time asked for
    stored: int = 0  # with a manifest in the storage
    queued: list[str] = field(default_factory=list)  # put into the inbox, or to be in a dry run
    pending: int = 0  # in the inbox already
    buried: int = 0  # buried before, and left so
    young: int = 0  # so fresh that the webhook may still be on its way
    unfinished: int = 0  # still pending or running at Gemini
    # Ended longer ago than results live, and have none any more.
    expired: list[str] = field(default_factory=list)
    # Without a verdict: Gemini did not show them, or not readably.
    unclear: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)  # why, for each of the unclear ones

    def note_unclear(self, name: str, reason: str) -> None:
        """Count what gets no verdict."""
        self.unclear.append(name or "(no name)")
        self.reasons.append(reason)


def add_counts(parts: Iterable[ReplayCounts]) -> ReplayCounts:
    """The sums of several projects' replays."""
    whole = ReplayCounts()
    for one in parts:
        for part in fields(ReplayCounts):
            setattr(whole, part.name, getattr(whole, part.name) + getattr(one, part.name))
    return whole


@dataclass(frozen=True)
class Window:
    """When the batches ended that a replay checks: RFC 3339 in UTC.

    One whose end is not known is in every window.
    """

    since: str | None = None  # inclusive
    until: str | None = None  # exclusive
    also: frozenset[str] = frozenset()  # batches that are checked whenever they ended

    def holds(self, batch: Batch) -> bool:
        is_early = batch.ended and self.since and batch.ended < self.since
        is_late = batch.ended and self.until and batch.ended >= self.until
        return batch.name in self.also or not (is_early or is_late)


def find_stored(storage: Storage, names: Sequence[str]) -> set[str]:
    """Those of the batches that have a manifest. Raises StorageError."""

    def is_stored(name: str) -> bool:
        return storage.exists(manifest_name(name))

    stored = zip(names, ordered_map(is_stored, names), strict=True)
    return {name for name, found in stored if found}


def replay(
    listed: Iterable[Batch | Unread],
    get_batch: Callable[[str], Batch],
    stored_among: Callable[[Sequence[str]], set[str]],
    admit: Callable[[Sequence[Batch]], Sequence[Verdict]],
    window: Window,
) -> ReplayCounts:
    """Admit every listed batch that has ended and has no manifest.

    A batch that is listed as unfinished may have ended since, so it is asked for by name. One
    that Gemini does not show, or that can't be read, gets no verdict. Errors of the storage, of
    `admit`, and of Gemini where they concern more than one batch, end the replay.
    """
    counts = ReplayCounts()
    candidates = _candidates(listed, window, counts)
    ask = Asking(get_batch, counts)
    while group := list(islice(candidates, GROUP_SIZE)):
        stored = stored_among([batch.name for batch in group])
        ended = [_settled(batch, ask, counts) for batch in group if batch.name not in stored]
        missing = [batch for batch in ended if batch is not None and window.holds(batch)]
        counts.stored += len(stored)
        counts.found += len(stored) + len(missing)
        for batch, verdict in zip(missing, admit(missing), strict=True):
            _count(counts, batch, verdict)
    return counts


def _candidates(
    listed: Iterable[Batch | Unread], window: Window, counts: ReplayCounts
) -> Iterator[Batch]:
    seen = set[str]()
    for batch in listed:
        if isinstance(batch, Unread):
            counts.note_unclear(batch.name, f"can't be read: {batch.reason}")
        elif batch.name not in seen and window.holds(batch):
            seen.add(batch.name)
            yield replace(batch, inlined=None)  # a group of them would not fit in memory


class Asking:
    """Asks for batches by name; one that Gemini does not show, or not readably, is unclear."""

    def __init__(self, get_batch: Callable[[str], Batch], counts: ReplayCounts) -> None:
        self._get_batch, self._tally = get_batch, counts
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


def _settled(batch: Batch, asking: Asking, counts: ReplayCounts) -> Batch | None:
    """The batch once it is terminal; otherwise it is counted and None."""
    if batch.is_terminal:
        return batch
    latest = asking.get(batch.name)
    if latest is None:
        return None
    if latest.is_terminal:
        return replace(latest, inlined=None)
    counts.unfinished += 1
    return None


def _count(counts: ReplayCounts, batch: Batch, verdict: Verdict) -> None:
    if verdict in ("queued", "expired"):
        names: list[str] = getattr(counts, verdict)
        names.append(batch.name)
    else:
        setattr(counts, verdict, getattr(counts, verdict) + 1)
