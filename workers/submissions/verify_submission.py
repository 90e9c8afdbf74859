"""Verifies a submission that has ended, from the storage alone.

Its manifest names the batches, by the sha256 of their manifests. So what is rebuilt is what it was
made of, also where the submission went on afterwards.
"""

import hashlib
import shutil
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import msgspec

from receiver.errors import ExportError, ManifestError, StorageError, SubmissionError
from receiver.outputs.manifest import Record
from receiver.storage import Storage
from receiver.submissions.proof import SubmissionManifest, read_submission_manifest
from receiver.submissions.records import SubmissionRecords
from workers.store.records import file_sha256
from workers.submissions.answers import encode_answer, read_answers
from workers.submissions.finishing import Ending, build_manifest
from workers.submissions.part_results import Reading, load_requests
from workers.submissions.request_table import RequestTable
from workers.submissions.row_checks import check_rows
from workers.submissions.submission_checks import (
    Claims,
    check_folder,
    check_manifests,
    check_parts,
    check_planned,
    check_requests,
    check_sources,
    find_late,
)
from workers.verification.findings import Discrepancy, SubmissionReport, VerifyOptions
from workers.verification.record_checks import SignedManifest, check_signature
from workers.verification.verify_batch import verify_batch

MAX_NAMED_ROWS = 20
SHOWN_CHARACTERS = 100


def verify_submission(
    storage: Storage,
    submission_id: str,
    scratch: Path,
    options: VerifyOptions | None = None,
    *,
    with_batches: bool = True,
) -> SubmissionReport:
    """Read everything of a submission once more, and of its batches, unless `with_batches` is off.

    Raises StorageError when the storage can't be read.
    """
    options = options or VerifyOptions()
    report, records = SubmissionReport(submission_id), SubmissionRecords(storage, submission_id)
    data = storage.read(records.manifest_name)
    if data is None:
        report.find(records.manifest_name, "it is not there: the submission has not ended")
        return report
    claims = _read_claims(storage, records, submission_id, data)
    if isinstance(claims, Discrepancy):
        report.add([claims])
        return report

    reading = Reading(storage, scratch, lambda: None)
    for check in (check_folder, check_planned, check_parts, check_manifests):
        try:
            report.add(check(claims))
        except SubmissionError as error:  # a record can't be read
            report.add([claims.differ(str(error))])
    report.add(check_requests(claims, reading))
    report.add(check_rows(claims, scratch))
    for batch in find_late(claims):
        report.note(f"{batch}: its results were lost when the submission ended, and are stored now")
    _verify_batches(claims, scratch, report, options, with_batches=with_batches)
    _Rebuild(claims, reading, report).run()

    signature = records.signature_name(hashlib.sha256(data).hexdigest())
    signed = SignedManifest(records.manifest_name, data, signature)
    check_signature(storage, signed, options.public_keys, report)
    return report


def _read_claims(
    storage: Storage, records: SubmissionRecords, submission_id: str, data: bytes
) -> Claims | Discrepancy:
    try:
        manifest = read_submission_manifest(data)
    except (ValueError, RecursionError) as error:
        words = f"it is not in the form of a manifest: {error}"
        return Discrepancy(records.manifest_name, None, words)
    try:
        plan, rounds = records.read_plan(), records.rounds()
        records.read_order()
    except SubmissionError as error:
        return Discrepancy(records.manifest_name, None, f"a record beside it is off: {error}")
    if plan is None or not plan.id == plan.spec.id == submission_id:
        words = "it is not the plan of this submission, whose id is made of what was asked for"
        return Discrepancy(records.name_of("plan.json"), None, words)
    parts = (*plan.parts, *(part for one in rounds for part in one.parts))
    return Claims(storage, plan, parts, manifest)


def _verify_batches(
    claims: Claims,
    scratch: Path,
    report: SubmissionReport,
    options: VerifyOptions,
    *,
    with_batches: bool,
) -> None:
    # The manifest of the submission proves theirs, whoever has signed them, and has its own books.
    options = replace(options, public_keys=(), judges_books=False)
    for proof in claims.manifest.batches:
        if proof.manifest_sha256 is None:
            continue
        if not with_batches:
            report.add(check_sources(claims.storage, proof.batch))
            continue
        folder = scratch / "batch"
        folder.mkdir()
        found = verify_batch(claims.storage, proof.batch, folder, options)
        shutil.rmtree(folder)
        report.take(found)


class _Rebuild:
    """Makes the answers and the books again, and compares them."""

    def __init__(self, claims: Claims, reading: Reading, report: SubmissionReport) -> None:
        self._claims, self._reading, self._report = claims, reading, report

    def run(self) -> None:
        """Call it last: from wrong rows, everything would be wrong."""
        report, records = self._report, self._claims.records
        if report.off:
            report.note("the answers and the books: what they are made of is off")
            return
        path = self._reading.scratch / "answers"
        if not self._reading.storage.read_to_file(records.answers_name, path):
            report.find(records.answers_name, "it is not there")
            return
        try:
            self._compare(path)
        except (StorageError, ManifestError, ExportError) as error:
            if error.retryable:
                raise
            report.add([self._claims.differ(f"it can't be made again: {error}")])

    def _compare(self, path: Path) -> None:
        claims, reading = self._claims, self._reading
        manifest, states = claims.manifest, claims.states
        with RequestTable(reading.scratch) as table:
            load_requests(reading, states, table)
            self._compare_answers(table, path)
            outcomes = table.outcomes()
        ending = Ending(
            manifest.policy,
            manifest.ordered_at,
            manifest.reason,
            manifest.records,
            manifest.version,
        )
        answers = Record(claims.records.answers_name, file_sha256(path))
        made = build_manifest(claims.storage, claims.submission, states, ending, outcomes, answers)
        for name in SubmissionManifest.__struct_fields__:
            said, found = getattr(manifest, name), getattr(made, name)
            if said != found:
                words = f"it says {_show(said)} as {name}, where {_show(found)} was found"
                self._report.add([claims.differ(words)])
        if not made.balanced:
            self._report.add([claims.differ("its books do not balance")])
        self._report.requests, self._report.batch_count = made.requests, len(made.batches)

    def _compare_answers(self, table: RequestTable, path: Path) -> None:
        name, off = self._claims.records.answers_name, 0
        made = map(encode_answer, read_answers(self._reading, self._claims.states, table))
        with path.open("rb") as stored:
            for number, (line, expected) in enumerate(zip_longest(stored, made), 1):
                if line == expected:
                    continue
                off += 1
                if off <= MAX_NAMED_ROWS:
                    self._report.find(name, _describe_row(line, expected), number)
        if off > MAX_NAMED_ROWS:
            self._report.find(name, f"{off - MAX_NAMED_ROWS:,} more rows are wrong")


def _describe_row(line: bytes | None, expected: bytes | None) -> str:
    if line is None:
        return "the row of this request is not there"
    if expected is None:
        return "it is the row of no request"
    return f"its row should be {expected.decode().rstrip()}"


def _show(value: object) -> str:
    text = msgspec.json.encode(value).decode(errors="replace")
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
