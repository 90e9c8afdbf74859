"""A batch, and all that sent its requests again: rounds of its submission, and resubmissions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from receiver.answers.requests import read_key
from receiver.batch_names import SUBMISSION_ID
from receiver.outputs.manifest import Manifest
from receiver.storage import Storage
from receiver.submissions.batch_links import read_links, read_origin
from receiver.submissions.records import SubmissionRecords
from receiver.submissions.state import PartState
from receiver.submissions.submission import Part
from workers.results.key_set import KeySet, key_token
from workers.store.manifest import load_manifest
from workers.submissions.part_results import (
    Reading,
    has_requests,
    key_member,
    load_results,
    read_result_keys,
    read_sent_lines,
)
from workers.submissions.request_table import Remedy, RequestTable


@dataclass(frozen=True)
class Sending:
    """One batch of a lineage, or a part that has no batch yet."""

    state: PartState  # numbered by the lineage; of round 0 is the first alone
    parent: int  # the number of the sending whose requests it took over; 0 for the first
    manifest: Manifest | None

    @property
    def number(self) -> int:
        return self.state.part.number


class Lineage:
    """Finds every sending in its order, each once. Raises StorageError and ManifestError."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._seen: set[str] = set()
        self._found: list[Sending] = []

    def trace(self, batch: str) -> list[Sending]:
        """Begin with a batch (`batches/<id>`)."""
        self._add_group([_lone_part(batch), *self._later_rounds(batch)], 0)
        return self._found

    def trace_links(self, batches: Sequence[str]) -> list[Sending]:
        """What resubmitted requests of these batches, without the rounds of their submission."""
        self._seen |= set(batches)
        for batch in batches:
            self._add_links(batch, 0)
        return self._found

    def _add_group(self, group: Sequence[PartState], parent: int) -> None:
        """Add the sendings of one submission, then all that followed each of them."""
        added = []
        for one in group:
            if one.batch is not None and one.batch in self._seen:
                continue
            self._seen |= {one.batch} if one.batch else set()
            manifest = load_manifest(self._storage, one.batch) if one.batch else None
            number = len(self._found) + 1
            part = msgspec.structs.replace(one.part, number=number, round=int(number > 1))
            state = msgspec.structs.replace(one, part=part, is_stored=manifest is not None)
            self._found.append(Sending(state, parent, manifest))
            added.append((one.batch, number))
            parent = parent or number
        for batch, number in added:
            if batch is not None:
                self._add_links(batch, number)

    def _add_links(self, batch: str, number: int) -> None:
        for link in read_links(self._storage, batch):
            is_submission = SUBMISSION_ID.fullmatch(link)
            group = self._parts_of(link) if is_submission else [_lone_part(link)]
            self._add_group(list(group), number)

    def _later_rounds(self, batch: str) -> Iterator[PartState]:
        """The parts that the batch's own submission sent after it."""
        origin = read_origin(self._storage, batch)
        if origin is None:
            return
        parts = SubmissionRecords(self._storage, origin.submission).parts()
        own = next((part.round for part in parts if part.number == origin.part), None)
        for one in self._parts_of(origin.submission):
            if own is not None and one.part.round > own:
                yield one

    def _parts_of(self, submission_id: str) -> Iterator[PartState]:
        """Also those that are to be sent yet: their requests are taken."""
        records = SubmissionRecords(self._storage, submission_id)
        for part in records.parts():
            created = records.created(part)
            batch = created.batch if created else None
            yield PartState(part=part, batch=batch, is_unsure=batch is None)


def _lone_part(batch: str) -> PartState:
    """A batch whose requests lie beside its outputs, if the storage has them."""
    return PartState(part=Part(0, 0, 0, 0, 0), batch=batch)


def load_sending(
    reading: Reading, one: Sending, table: RequestTable, *, is_open: bool = False
) -> int | None:
    """Add a sending to a table, the first one with its requests. Gives how many it took over.

    None where nobody knows them. `is_open`: it may bring more requests, since those of the first
    are not known.
    """
    keys = read_sending_keys(reading, one)
    if keys is None:
        return None
    seen, requests = KeySet(reading.scratch), 0
    help_for_missing = Remedy.NONE if one.manifest is None else Remedy.AGAIN

    def each_once() -> Iterator[str]:
        nonlocal requests
        for key in keys:
            if seen.add(key_token(key)):
                requests += 1
                yield key

    if one.number == 1:
        table.add_requests(each_once(), 1, help_for_missing)
    else:
        if is_open:
            table.add_unknown(read_sending_keys(reading, one) or (), one.number)
        table.begin_try(each_once(), one.number, help_for_missing)
    if one.manifest is not None:
        load_results(reading, one.manifest, one.number, table)
    return requests


def read_sending_keys(reading: Reading, one: Sending) -> Iterator[str] | None:
    """The keys of the requests; of lines where the requests are not known."""
    member = key_member(one.manifest)
    if has_requests(reading, one.state):
        keys = (read_key(line, member) for line in read_sent_lines(reading, one.state))
        return (key for key in keys if key is not None)
    return None if one.manifest is None else read_result_keys(reading, one.manifest)


def withhold_resubmitted(reading: Reading, parts: Sequence[PartState], table: RequestTable) -> None:
    """Leave out of a table's remedies what a person had sent again by other submissions."""
    batches = [one.batch for one in parts if one.batch is not None]
    for sending in Lineage(reading.storage).trace_links(batches):
        table.withhold(read_sending_keys(reading, sending) or ())
