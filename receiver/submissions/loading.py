"""Reads where a submission stands: its records, the manifests of its batches, and their ledger."""

import re
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from receiver.batch_names import BatchName
from receiver.errors import ManifestError, SubmissionError
from receiver.inbox.entries import Entry
from receiver.inbox.ledger import Inbox
from receiver.outputs.judgement import count_answers
from receiver.outputs.manifest import read_manifest
from receiver.outputs.paths import manifest_name
from receiver.storage import Storage
from receiver.submissions.records import Created, CreateIntent, Round, SubmissionRecords
from receiver.submissions.state import PartState, Room, RoundState, SubmissionState
from receiver.submissions.submission import Part, Submission

_ATTEMPT = re.compile(r"(?P<part>[0-9]+)\.creating\.(?P<number>[0-9]+)\.json")


class StateLoader:
    """Loads one submission again and again, and reads only once what never changes.

    A listing says which records there are. Of a part are read: the name of its batch, and while
    that is not stored, when it was sent and whether its manifest is there now.
    """

    def __init__(self, storage: Storage, batches: Inbox, submission_id: str) -> None:
        """`batches` is the ledger of the batches."""
        self._storage, self._batches = storage, batches
        self._records = SubmissionRecords(storage, submission_id)
        self._id = submission_id
        self._submission: Submission | None = None
        self._created = dict[int, Created]()
        self._intents = dict[tuple[int, int], CreateIntent]()
        self._rounds = list[Round]()
        self._stored = dict[str, Decimal | None]()  # what each stored batch cost
        self._answered = dict[str, int]()  # the requests that it answered
        self._attempts = _find_attempts(())

    @property
    def submission(self) -> Submission:
        """The plan. Raises StorageError, and SubmissionError where there is no such submission."""
        self._submission = self._submission or self._records.read_plan()
        if self._submission is None:
            raise SubmissionError(
                f"the storage has no submission {self._id}: is STORAGE_URL the right one?"
            )
        return self._submission

    def load(self, room: Room, now: float) -> SubmissionState:
        """Where it stands at a Unix time in seconds.

        Raises StorageError, InboxUnavailableError, ManifestError, and SubmissionError where there
        is no such submission.
        """
        names = frozenset(self._records.names())
        self._read_rounds(names)
        self._attempts = _find_attempts(names)
        parts = [*self.submission.parts, *(part for one in self._rounds for part in one.parts)]
        order = self._records.read_order()
        return SubmissionState(
            submission=self.submission,
            policy=self._records.read_policy(),
            command=order.command,
            ordered_at=order.at,
            parts=tuple(self._add_ledger([self._read_part(part, names, now) for part in parts])),
            rounds=tuple(
                RoundState(one.number, one.is_rescue, len(one.parts), one.held_back)
                for one in self._rounds
            ),
            room=room,
            is_finished="manifest.json" in names and self._ended_at() == order.at,
        )

    def _read_rounds(self, names: frozenset[str]) -> None:
        while f"round.{len(self._rounds) + 1}.json" in names:
            planned = self._records.read_round(len(self._rounds) + 1)
            if planned is None:
                raise SubmissionError(f"round {len(self._rounds) + 1} of {self._id} is gone")
            self._rounds.append(planned)

    def _ended_at(self) -> float | None:
        manifest = self._records.read_manifest()
        return None if manifest is None else manifest.ordered_at

    def _read_part(self, part: Part, names: frozenset[str], now: float) -> PartState:
        prefix = f"{part.number}."
        if f"{prefix}created.json" not in names:
            settled = (
                f"{prefix}refused.{number}.json" in names
                or f"{prefix}absent.{number}.json" in names
                for number in self._attempts[part.number]
            )
            return PartState(part=part, is_unsure=not all(settled))

        batch = self._batch_of(part)
        is_stored = self._look_for_manifest(batch)
        return PartState(
            part=part,
            batch=batch,
            sent_at=None if is_stored else self._sent_at(part, names, now),
            is_kept=f"{prefix}kept.json" in names,
            is_stored=is_stored,
            is_cancelled=f"{prefix}cancelled.json" in names,
            is_told=f"{prefix}overdue.json" in names,
            cost=self._stored.get(batch),
            answered=self._answered.get(batch, 0),
        )

    def _batch_of(self, part: Part) -> str:
        if part.number not in self._created:
            created = self._records.created(part)
            if created is None:
                raise SubmissionError(f"the record of part {part.number} of {self._id} is gone")
            self._created[part.number] = created
        return self._created[part.number].batch

    def _sent_at(self, part: Part, names: frozenset[str], now: float) -> float | None:
        """When the last call was made that may have created the batch; None where none is known.

        Another machine's clock may be ahead: it is never later than now.
        """
        numbers = [
            number
            for number in self._attempts[part.number]
            if f"{part.number}.refused.{number}.json" not in names
        ]
        if not numbers:
            return None
        key = part.number, max(numbers)
        if key not in self._intents and (intent := self._records.intent(part, key[1])) is not None:
            self._intents[key] = intent
        return min(self._intents[key].at, now) if key in self._intents else None

    def _look_for_manifest(self, batch: str) -> bool:
        if batch in self._stored:
            return True
        data = self._storage.read(manifest_name(batch))
        if data is None:
            return False
        try:
            manifest = read_manifest(data)
        except ManifestError as error:
            raise ManifestError(f"the manifest of {batch}: {error}") from error
        self._stored[batch] = manifest.dollars
        self._answered[batch] = count_answers(manifest.outcomes)
        return True

    def _add_ledger(self, parts: list[PartState]) -> list[PartState]:
        """Add what the ledger says of batches that are not stored."""
        waiting = {
            one.batch: str(BatchName.read(one.batch, self.submission.spec.project))
            for one in parts
            if one.batch is not None and not one.is_stored
        }
        entries = self._batches.entries(waiting.values()) if waiting else {}
        return [
            _with_entry(one, entries.get(waiting[one.batch])) if one.batch in waiting else one
            for one in parts
        ]


def _find_attempts(names: Iterable[str]) -> defaultdict[int, list[int]]:
    """The numbers of the attempts to create each part's batch, by the part's number."""
    attempts = defaultdict[int, list[int]](list)
    for name in names:
        if match := _ATTEMPT.fullmatch(name):
            attempts[int(match["part"])].append(int(match["number"]))
    return attempts


def _with_entry(part: PartState, entry: Entry | None) -> PartState:
    if entry is None:
        return msgspec.structs.replace(part, is_listed=False)
    if entry.state == "buried":
        return msgspec.structs.replace(part, waits_for_person=entry.cause or "it is buried")
    if entry.state == "done" and entry.summary.expired:
        return msgspec.structs.replace(part, lost=entry.summary.expired)
    return part


def load_state(
    storage: Storage, batches: Inbox, room: Room, submission_id: str, now: float
) -> SubmissionState:
    """Where a submission stands at a Unix time in seconds; `batches` is the batches' ledger.

    Raises what `StateLoader.load` raises.
    """
    return StateLoader(storage, batches, submission_id).load(room, now)
