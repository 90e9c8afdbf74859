"""What became of the requests of a batch, in itself and in all that sent them again.

Each request counts once, by its key: an answer stays one, whatever comes later; else the last
outcome holds.
"""

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from receiver.errors import StorageError
from receiver.outputs.judgement import judge_manifest, name_unanswered
from receiver.outputs.manifest import Manifest
from receiver.outputs.outcomes import ANSWERED, Outcome
from receiver.storage import Storage
from receiver.submissions.proof import MISSING
from workers.store.manifest import load_manifest
from workers.store.records import read_index
from workers.submissions.lineage import Lineage, Sending, load_sending, read_sending_keys
from workers.submissions.part_results import Reading, has_requests
from workers.submissions.request_table import FinalOutcome, RequestTable


class ResentRequest(msgspec.Struct, frozen=True):
    """What became of one request that was sent again."""

    key: str
    # "batches/<id>": the one that answered it, else the last that it went into; None before that.
    batch: str | None
    outcome: str | None  # MISSING where no line has the key, None while that batch is not stored
    object: str | None  # from the storage root

    @property
    def is_answer(self) -> bool:
        return self.outcome in ANSWERED


class FollowedBatch(msgspec.Struct):
    """One batch of the view."""

    batch: str
    stored: bool
    requests: int | None = 0  # of a later batch, those that it took over; None: not known
    answered: int = 0
    sent_again: int = 0
    judgement: str | None = None  # of a stored one, in words


@dataclass
class MergedView:
    """A batch and all that followed it, in the order in which they were sent."""

    batches: list[FollowedBatch] = field(default_factory=list)
    resent: dict[str, ResentRequest] = field(
        default_factory=dict
    )  # by key: those that were sent again
    requests: int | None = None  # None: not known
    outcomes: dict[str, int] = field(default_factory=dict)  # of the requests, each counted once
    missing: int | None = None  # requests without a result in any batch that is stored
    waiting: int = 0  # sent again, and not known yet
    surplus: int = 0  # keys that nobody asked for, as far as the counts say
    advice: list[str] = field(default_factory=list)

    @property
    def answered(self) -> int:
        return sum(count for outcome, count in self.outcomes.items() if outcome in ANSWERED)

    @property
    def is_well(self) -> bool:
        """Whether every request is answered by now."""
        return bool(self.requests) and self.answered == self.requests and not self.surplus

    @property
    def rest(self) -> list[str]:
        """What is not answered, in words."""
        words = name_unanswered(self.outcomes, self.missing)
        words += [f"{self.waiting:,} sent again and not known yet"] if self.waiting else []
        return words + (
            [f"{self.surplus:,} more {'key' if self.surplus == 1 else 'keys'} than requests"]
            if self.surplus
            else []
        )


def view_retries(storage: Storage, batch: str) -> MergedView:
    """Follow a stored batch through all that took its requests over. Raises StorageError."""
    manifest = load_manifest(storage, batch)
    if manifest is None:
        raise StorageError(f"{batch} is not stored yet", retryable=False)
    sendings = Lineage(storage).trace(manifest.batch)
    with tempfile.TemporaryDirectory(prefix="gbr-") as folder:
        reading = Reading(storage, Path(folder), lambda: None)
        with RequestTable(Path(folder)) as table:
            return _View(reading, sendings, table).make(manifest)


class _View:
    """Counts each request of the first batch once, by its last outcome."""

    def __init__(self, reading: Reading, sendings: list[Sending], table: RequestTable) -> None:
        self._reading, self._sendings, self._table = reading, sendings, table
        self._view = MergedView()

    def make(self, manifest: Manifest) -> MergedView:
        view, first = self._view, self._sendings[0]
        followed = {one.number: self._load(one) for one in self._sendings}
        view.batches = [one for one in followed.values() if one.batch]
        for one in self._sendings[1:]:
            followed[one.parent].sent_again += followed[one.number].requests or 0
        for one in self._sendings[1:]:
            self._note_resent(one)
        # How many were asked: by the input where it is known, else by Gemini.
        view.requests = manifest.input.requests if manifest.input else manifest.requests
        followed[first.number].requests = view.requests
        self._count(_count_keyless(self._reading, manifest))
        view.advice = [] if view.is_well else self._advise()
        return view

    def _load(self, one: Sending) -> FollowedBatch:
        is_open = not has_requests(self._reading, self._sendings[0].state)
        requests = load_sending(self._reading, one, self._table, is_open=is_open)
        judgement = None if one.manifest is None else judge_manifest(one.manifest).text
        answered = sum(
            count
            for number, outcome, count in self._table.tally()
            if number == one.number and outcome in ANSWERED
        )
        is_stored = one.manifest is not None
        batch = one.state.batch or ""
        return FollowedBatch(batch, is_stored, requests, answered, judgement=judgement)

    def _note_resent(self, one: Sending) -> None:
        sent = {each.number: each for each in self._sendings}
        for key in read_sending_keys(self._reading, one) or ():
            final = self._table.final(key)
            if final is not None:
                self._view.resent[key] = _describe(key, final, sent)

    def _count(self, keyless: Counter[str]) -> None:
        """Lines without a key answer requests whose keys no line has; the rest is missing."""
        view, stored = self._view, {one.number for one in self._sendings if one.manifest}
        counts, unseen = Counter[str](), 0
        for number, outcome, count in self._table.tally():
            if outcome is not None:
                counts[outcome] += count
            elif number == 1:
                unseen += count
            elif number in stored:
                counts[MISSING] += count
            else:
                view.waiting += count
        missing = counts.pop(MISSING, 0)
        if view.requests is None:
            counts.update(keyless)
            view.missing = None
        else:
            left = view.requests - counts.total() - missing - view.waiting
            view.surplus, left = max(0, -left), max(0, left)
            for outcome, count in keyless.items():
                taken = min(count, left)
                counts[outcome] += taken
                left -= taken
            view.missing = missing + left
        view.outcomes = {outcome: count for outcome, count in counts.items() if count}

    def _advise(self) -> list[str]:
        """What to do about the last batches of what is not answered."""
        resent = self._view.resent.values()
        open_in = {one.batch for one in resent if not one.is_answer}
        open_in.add(self._view.batches[0].batch)
        ends = [one for one in self._sendings if one.manifest and not self._is_followed(one)]
        advice = [
            judge_manifest(one.manifest).advice
            for one in ends
            if one.manifest is not None and one.state.batch in open_in
        ]
        return [one for one in advice if one]

    def _is_followed(self, one: Sending) -> bool:
        return any(each.parent == one.number for each in self._sendings)


def _count_keyless(reading: Reading, manifest: Manifest) -> Counter[str]:
    """The lines of a batch that no key tells apart, by their outcomes."""
    keyless = Counter[str]()
    if manifest.index is not None:
        for row in read_index(reading.storage, manifest.batch, reading.scratch):
            if row.key is None and row.outcome != Outcome.DUPLICATE:
                keyless[row.outcome] += 1
    return keyless


def _describe(key: str, final: FinalOutcome, sent: dict[int, Sending]) -> ResentRequest:
    last = None if final.try_number is None else sent[final.try_number]
    is_stored = last is not None and last.manifest is not None
    outcome = final.outcome or (MISSING if is_stored else None)
    return ResentRequest(key, last.state.batch if last else None, outcome, final.object)
