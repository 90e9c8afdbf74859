"""`batches submit`: from a file of requests to batches at Gemini."""

import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from receiver.batch_names import BatchName
from receiver.cli.command import command, load_settings
from receiver.cli.progress import show_progress
from receiver.cli.projects import project_option, read_project
from receiver.errors import SettingsError, SubmissionError
from receiver.gemini.batches import Gemini
from receiver.outputs.models import model_warnings
from receiver.settings.settings import Settings
from receiver.settings.web_urls import parse_web_url
from receiver.storage import Storage, open_storage
from receiver.submissions.model_check import check_model
from receiver.submissions.parts import Part
from receiver.submissions.planning import (
    SubmitRequest,
    check_input,
    draft_submission,
    settle_submission,
)
from receiver.submissions.plans import Plan
from receiver.submissions.records import Submission, SubmissionRecords
from receiver.submissions.submitter import Callbacks, Sent, Submitter

SAID = {
    "created": "created {batch}",
    "found": "found {batch}, which an earlier try had made",
    "known": "already submitted as {batch}: nothing was sent",
}


@command("submit")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", required=True, help="Model that answers, such as gemini-3.8-flash.")
@click.option(
    "--embeddings",
    is_flag=True,
    help="Every request asks for an embedding; an embedding model's name says so too.",
)
@click.option(
    "--display-name",
    help="Name of the batch at Gemini. The same requests under another name are a new batch.",
)
@click.option(
    "--webhook",
    metavar="URL",
    help="Where Gemini reports on this batch alone; else registered webhooks do.",
)
@click.option(
    "--metadata",
    metavar="JSON",
    help="User metadata that comes with --webhook's callbacks: a JSON object.",
)
@click.option(
    "--inline", is_flag=True, help="Send the requests in the call itself, for small inputs (19 MB)."
)
@click.option(
    "--max-requests",
    type=click.IntRange(min=1),
    help="Split the input into batches of so many requests.",
)
@project_option
@click.option(
    "--allow-unknown-fields",
    is_flag=True,
    help="Send fields that do not fit the API's schema as this version knows it; Gemini judges them.",
)
@click.option(
    "--dry-run", is_flag=True, help="Check every line, say what would be sent, and send nothing."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of words.")
def submit(  # noqa: PLR0913 - one parameter an option
    file: Path,
    *,
    model: str,
    embeddings: bool,
    display_name: str | None,
    webhook: str | None,
    metadata: str | None,
    inline: bool,
    max_requests: int | None,
    label: str | None,
    allow_unknown_fields: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Check every request of FILE (JSON lines), and send them to Gemini as one or several batches.

    The same requests for the same model are never sent twice: run it again after any failure, and it goes on where it
    stood.
    """
    wish = SubmitRequest(
        project="",
        model=model,
        is_embedding=embeddings,
        inline=inline,
        display_name=display_name,
        max_requests=max_requests,
        webhook=_read_url(webhook),
        metadata=_read_metadata(metadata, webhook),
        allow_unknown_fields=allow_unknown_fields,
    )
    if dry_run:
        _try_out(file, wish, label, as_json=as_json)
    else:
        settings = load_settings()
        wish = replace(wish, project=read_project(settings, label).name)
        send_input(settings, file, wish, as_json=as_json)


def _try_out(file: Path, wish: SubmitRequest, label: str | None, *, as_json: bool) -> None:
    """A dry run, for which settings are good and not needed."""
    plan = _check(file, wish)
    try:
        settings = load_settings()
    except SettingsError as error:
        click.echo(f"note: the model {wish.model} was not checked: {error}", err=True)
    else:
        _ask_model(settings, replace(wish, project=read_project(settings, label).name))
    _say_plan(plan, as_json=as_json)


def _read_url(webhook: str | None) -> str | None:
    try:
        return webhook and parse_web_url(webhook)
    except ValueError as error:
        raise click.UsageError(f"--webhook: {error}") from error


def _read_metadata(text: str | None, webhook: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    if webhook is None:
        raise click.UsageError("--metadata comes with --webhook's callbacks, so it needs --webhook")
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise click.UsageError(f"--metadata takes a JSON object: {error}") from error


def _check(file: Path, wish: SubmitRequest) -> Plan:
    for warning in model_warnings(wish.model, datetime.now(UTC).date()):
        click.echo(f"warning: {warning}", err=True)
    with show_progress("checking", "bytes", file.stat().st_size) as bar:
        plan = check_input(file, wish, bar.advance)
    for caution in plan.cautions:
        click.echo(f"note: {caution}", err=True)
    return plan


def _ask_model(settings: Settings, wish: SubmitRequest) -> None:
    """Raises SubmissionError where Gemini has no such model; says so where nobody could be asked."""
    with Gemini(
        settings.base_url, settings.project(wish.project).api_key, settings.api_version
    ) as gemini:
        unchecked = check_model(gemini.transport, wish.model, wish.kind)
    if unchecked is not None:
        click.echo(f"note: {unchecked}", err=True)


def _say_plan(plan: Plan, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(plan))
        return
    for part in plan.parts:
        click.echo(
            f"part {part.number}: {part.requests:,} requests from line {part.first_line}, {part.size_bytes:,} bytes"
        )
    batches = "1 batch" if len(plan.parts) == 1 else f"{len(plan.parts)} batches"
    click.echo(f"{plan.requests:,} requests in {batches}; nothing was sent")


def send_input(settings: Settings, file: Path, wish: SubmitRequest, *, as_json: bool) -> list[Sent]:
    """Check, plan and send; says what became of every part on stdout."""
    storage = open_storage(settings.storage_url)
    plan = _check(file, wish)
    draft = draft_submission(file, wish, plan)
    if (
        SubmissionRecords(storage, draft.id).read_plan() is None
    ):  # who goes on with a submission has asked before
        _ask_model(settings, wish)
    submission, is_known = settle_submission(storage, file, draft)
    if is_known and len(submission.parts) != len(plan.parts):
        click.echo(
            f"it was split into {len(submission.parts)} batches before, and stays so", err=True
        )
    project = settings.project(wish.project)
    with Gemini(settings.base_url, project.api_key, settings.api_version) as gemini:
        sent = [_send(gemini, storage, submission, part, file) for part in submission.parts]
    _say_sent(submission, sent, as_json=as_json)
    return sent


def _send(gemini: Gemini, storage: Storage, submission: Submission, part: Part, file: Path) -> Sent:
    label = f"uploading part {part.number} of {len(submission.parts)}"
    with (
        tempfile.TemporaryDirectory(prefix="gbr-") as folder,
        show_progress(label, "bytes", part.size_bytes) as bar,
    ):
        arrived = 0

        def hear(_part: Part, size_bytes: int) -> None:
            nonlocal arrived
            bar.advance(size_bytes - arrived)
            arrived = size_bytes

        def hear_waiting(_part: Part, left_s: float) -> None:
            made = f"an earlier try may have made the batch of part {part.number}"
            bar.say(f"{made}: looking for it for {left_s:.0f} s more")

        sender = Submitter(gemini, storage, submission, file, Callbacks(hear, hear_waiting))
        try:
            return sender.send(part, Path(folder))
        except SubmissionError as error:
            raise SubmissionError(f"{error} ({_done_so_far(part, submission)})") from error


def _done_so_far(part: Part, submission: Submission) -> str:
    return f"{part.number - 1} of {len(submission.parts)} batches are sent"


def _say_sent(submission: Submission, sent: list[Sent], *, as_json: bool) -> None:
    project = submission.order.project
    if as_json:
        rows = [
            {
                "batch": str(BatchName.read(one.batch, project)),
                "status": one.status,
                "requests": one.part.requests,
            }
            for one in sent
        ]
        click.echo(msgspec.json.encode({"submission": submission.id, "batches": rows}))
        return
    for one in sent:
        said = SAID[one.status].format(batch=str(BatchName.read(one.batch, project)))
        click.echo(f"{said} ({one.part.requests:,} requests, {submission.name_of(one.part)})")
    if all(one.status == "known" for one in sent):
        click.echo(
            "to send the same requests once more, and pay for them again, give another --display-name",
            err=True,
        )
