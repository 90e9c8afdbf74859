"""`batches submissions`: what was sent with `batches submit`, and how far it is."""

import click
import msgspec

from receiver.batch_names import BatchName
from receiver.cli.command import command, json_option, load_settings
from receiver.cli.output import printable
from receiver.outputs.paths import input_name, manifest_name
from receiver.outputs.wording import count_of
from receiver.storage import Storage, open_storage
from receiver.submissions.records import SubmissionRecords, list_submissions
from receiver.submissions.submission import Submission


class SubmittedBatch(msgspec.Struct):
    """One part of a submission."""

    batch: str | None  # its name in the inbox; None while it is not created
    requests: int
    stored: bool
    kept: bool  # whether the storage has its input


class SubmissionRow(msgspec.Struct):
    """One submission."""

    submission: str  # its id
    file: str
    display_name: str
    model: str
    requests: int
    batches: list[SubmittedBatch]


@command("submissions", "", "5d41402abc4b2a76b971")
@click.argument("submission", required=False)
@json_option("a JSON list")
def submissions(submission: str | None, *, as_json: bool) -> None:
    """List what was submitted, and what of it is stored.

    SUBMISSION is the id of one that `batches submit` or `resubmit` sent.
    """
    storage = open_storage(load_settings().storage_url)
    rows = [_row(storage, one) for one in list_submissions(storage, submission)]
    if submission is not None and not rows:
        raise click.ClickException(f"no submission {printable(submission)} is known to the storage")
    if as_json:
        click.echo(msgspec.json.encode(rows))
        return
    for row in rows:
        click.echo(_describe(row))
        for number, batch in enumerate(row.batches, 1):
            click.echo(f"  part {number}: {_describe_batch(batch)}")


def _row(storage: Storage, submission: Submission) -> SubmissionRow:
    records, spec = SubmissionRecords(storage, submission.id), submission.spec
    found = []
    for part in submission.parts:
        created = records.created(part)
        is_stored = created is not None and storage.exists(manifest_name(created.batch))
        is_kept = created is not None and storage.exists(input_name(created.batch))
        name = str(BatchName.read(created.batch, spec.project)) if created else None
        found.append(SubmittedBatch(name, part.requests, is_stored, is_kept))
    return SubmissionRow(
        submission.id, submission.file, spec.display_name, spec.model, submission.requests, found
    )


def _describe_batch(batch: SubmittedBatch) -> str:
    if batch.batch is None:
        return "not sent: submit it again"
    state = "stored" if batch.stored else "not stored yet"
    unkept = "" if batch.kept else "; its input is not kept: submit it again, nothing is sent twice"
    requests = count_of(batch.requests, "request", "requests")
    return f"{batch.batch}: {requests}, {state}{unkept}"


def _describe(row: SubmissionRow) -> str:
    sent = sum(one.batch is not None for one in row.batches)
    stored = sum(one.stored for one in row.batches)
    requests = count_of(row.requests, "request", "requests")
    batches = count_of(len(row.batches), "batch", "batches")
    return printable(
        f"{row.display_name} {row.submission} ({row.file}, {row.model}): {requests},"
        f" {sent} of {batches} sent, {stored} stored"
    )
