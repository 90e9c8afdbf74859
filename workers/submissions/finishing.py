"""Ends a submission: writes what became of every request, and the manifest that proves it.

The same records make the same bytes, so that two workers write the same, and so does a second run
after a crash. A submission that goes on later gets a new proof in the place of this one.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from receiver.outputs.manifest import Record
from receiver.outputs.paths import manifest_name
from receiver.outputs.proof_keys import ProofKey
from receiver.rows.keeping import prove_rows
from receiver.storage import Storage
from receiver.submissions.decisions import Finish
from receiver.submissions.policy import Policy
from receiver.submissions.proof import (
    BatchProof,
    SubmissionManifest,
    count_fates,
    encode_submission_manifest,
)
from receiver.submissions.records import SubmissionRecords
from receiver.submissions.state import PartState, StopReason, SubmissionState
from receiver.submissions.submission import Submission
from workers.store.manifest import VERSION
from workers.submissions.answers import write_answers
from workers.submissions.context import AdvanceContext
from workers.submissions.exporting import export_table
from workers.submissions.part_results import Reading, load_part_manifest, load_requests
from workers.submissions.request_table import RequestTable


@dataclass(frozen=True)
class Ending:
    """Under what a submission ended."""

    policy: Policy
    ordered_at: float  # the `at` of the last word of a person
    reason: StopReason | None
    records: Sequence[Record]  # the plan, the table's record, and each round
    version: str = VERSION


def finish(context: AdvanceContext, state: SubmissionState, action: Finish) -> None:
    """Write the proof, signed with PROOF_KEY where it is set."""
    with context.reading() as reading:
        key = context.settings.proof_key
        write_proof(reading, state, action.reason, key, partial(export_table, context, reading))


def write_proof(
    reading: Reading,
    state: SubmissionState,
    reason: StopReason | None,
    key: ProofKey | None,
    export: Callable[[SubmissionManifest], None] = lambda _: None,
) -> SubmissionManifest:
    """Write the answers, then the manifest; `key` signs it. Raises StorageError and ManifestError.

    A reason says why not every request has had its chance. `export` writes the table: before the
    manifest, since nobody would come back to it after a crash.
    """
    storage, records = reading.storage, SubmissionRecords(reading.storage, state.submission.id)
    path = reading.scratch / "answers"
    with RequestTable(reading.scratch) as table:
        load_requests(reading, state.parts, table)
        digest = write_answers(reading, state.parts, table, path)
        outcomes = table.outcomes()
    reading.check()
    storage.put_files([(records.answers_name, path)])

    planned = digest_records(storage, state.submission, len(state.rounds))
    ending = Ending(state.policy, state.ordered_at, reason, planned)
    answers = Record(records.answers_name, digest)
    manifest = build_manifest(storage, state.submission, state.parts, ending, outcomes, answers)
    export(manifest)
    data = encode_submission_manifest(manifest)
    reading.check()
    if key is not None:  # it goes first: no crash leaves a manifest without it
        name = records.signature_name(hashlib.sha256(data).hexdigest())
        storage.put_many([(name, key.sign(data))])
    storage.put_many([(records.manifest_name, data)])
    return manifest


def digest_records(storage: Storage, submission: Submission, rounds: int) -> list[Record]:
    """What was planned, with so many rounds, by their sha256; those records that are there."""
    records = SubmissionRecords(storage, submission.id)
    names = records.planned_names(rounds, of_table=submission.spec.table_sha256 is not None)
    stored = [(name, storage.read(name)) for name in names]
    return [Record(name, hashlib.sha256(data).hexdigest()) for name, data in stored if data]


def build_manifest(  # noqa: PLR0913, PLR0917 - what it is made of
    storage: Storage,
    submission: Submission,
    parts: Sequence[PartState],
    ending: Ending,
    outcomes: Mapping[str, int],
    answers: Record,
) -> SubmissionManifest:
    """The manifest of a submission whose requests have these outcomes."""
    answered, blocked, failed, missing = count_fates(dict(outcomes))
    sent = [one for one in parts if one.batch is not None]
    return SubmissionManifest(
        submission=submission.id,
        project=submission.spec.project,
        state="completed" if ending.reason is None else "stopped",
        reason=ending.reason,
        file=submission.file,
        display_name=submission.spec.display_name,
        model=submission.spec.model,
        requests=submission.requests,
        answered=answered,
        blocked=blocked,
        failed=failed,
        missing=missing,
        outcomes=dict(outcomes),
        balanced=submission.requests == answered + blocked + failed + missing,
        rounds=len({one.part.round for one in sent} - {0}),
        batches=[_prove_batch(storage, one) for one in sent],
        cost=_add_costs(storage, sent),
        estimate=submission.estimate,
        policy=ending.policy,
        ordered_at=ending.ordered_at,
        input_sha256=submission.spec.sha256,
        records=list(ending.records),
        answers=answers,
        rows=prove_rows(storage, submission.id),
        version=ending.version,
    )


def _prove_batch(storage: Storage, one: PartState) -> BatchProof:
    part, batch = one.part, one.batch or ""
    data = storage.read(manifest_name(batch)) if one.is_stored else None
    digest = None if data is None else hashlib.sha256(data).hexdigest()
    return BatchProof(batch, part.number, part.round, part.requests, digest)


def _add_costs(storage: Storage, sent: Sequence[PartState]) -> Decimal | None:
    """None where the cost of one batch is not known."""
    known = Decimal(0)
    for one in sent:
        manifest = load_part_manifest(storage, one)
        cost = None if manifest is None else manifest.dollars
        if cost is None:
            return None
        known += cost
    return known
