"""`batches submit`: from a file of requests to batches at Gemini."""

import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from receiver.batch_names import BatchName
from receiver.cli.command import command, json_option, load_settings
from receiver.cli.progress import show_progress
from receiver.cli.projects import read_project
from receiver.cli.stored import locate_answers
from receiver.errors import SettingsError, StepPendingError, SubmissionError
from receiver.gemini.batches import Gemini
from receiver.outputs.models import model_warnings
from receiver.outputs.wording import count_of
from receiver.settings.settings import Settings
from receiver.settings.web_urls import parse_web_url
from receiver.storage import Storage, open_storage
from receiver.submissions.model_check import check_model
from receiver.submissions.planning import (
    SubmitRequest,
    check_input,
    draft_submission,
    settle_submission,
)
from receiver.submissions.records import SubmissionRecords
from receiver.submissions.splitting import SplitInput
from receiver.submissions.stored_requests import store_requests
from receiver.submissions.submission import Part, Submission
from receiver.submissions.submitter import SentPart, Submitter

SAID = {
    "created": "created {batch}",
    "found": "found {batch}, which an earlier call had created",
    "known": "already submitted as {batch}: nothing was sent",
}


@command(
    "submit",
    "requests.jsonl --model gemini-3.8-flash",
    "requests.jsonl --model gemini-3.8-flash --dry-run",
    "texts.jsonl --model gemini-embedding-001 --display-name evening",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", required=True, help="Model that answers, such as gemini-3.8-flash.")
@click.option(
    "--embeddings",
    is_flag=True,
    help="The requests ask for embeddings. Not needed if the model's name says so.",
)
@click.option(
    "--display-name",
    help="Name of the batch at Gemini. The same requests under another name are a new batch.",
)
@click.option(
    "--webhook",
    metavar="URL",
    help="Where Gemini reports on this batch, in place of the registered webhooks.",
)
@click.option(
    "--metadata",
    metavar="JSON",
    help="A JSON object that comes back with the deliveries to --webhook.",
)
@click.option("--inline", is_flag=True, help="Send the requests in the call itself; up to 19 MB.")
@click.option(
    "--max-requests",
    type=click.IntRange(min=1),
    help="Split the input into batches of at most so many requests.",
)
@click.option(
    "--project",
    "label",
    metavar="NAME",
    help="Send to this Gemini project; `default` is the one without a suffix, and is taken where"
    " there are several.",
)
@click.option(
    "--allow-unknown-fields",
    is_flag=True,
    help="Send fields that are not in the API's schema, as this version knows it.",
)
@click.option(
    "--dry-run", is_flag=True, help="Check every line, say what would be sent, and send nothing."
)
@json_option("a JSON object")
def submit(  # noqa: PLR0913 - one parameter per option
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
    """Check the requests of a file, and send them to Gemini.

    FILE has one request per line. The same requests are never sent to the same model twice: run the
    command again after any failure, and it continues where it stopped.
    """
    request = SubmitRequest(
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
        _dry_run(file, request, label, as_json=as_json)
    else:
        settings = load_settings()
        request = replace(request, project=read_project(settings, label).name)
        send_input(settings, file, request, as_json=as_json)


def _dry_run(file: Path, request: SubmitRequest, label: str | None, *, as_json: bool) -> None:
    """A dry run, which also works without settings."""
    plan = _check(file, request)
    try:
        settings = load_settings()
    except SettingsError as error:
        click.echo(f"note: the model {request.model} was not checked: {error}", err=True)
    else:
        _ask_model(settings, replace(request, project=read_project(settings, label).name))
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
        raise click.UsageError(
            "--metadata comes with the deliveries to --webhook, so it needs --webhook"
        )
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise click.UsageError(f"--metadata takes a JSON object: {error}") from error


def _check(file: Path, request: SubmitRequest) -> SplitInput:
    for warning in model_warnings(request.model, datetime.now(UTC).date()):
        click.echo(f"warning: {warning}", err=True)
    with show_progress("checking", "bytes", file.stat().st_size) as bar:
        plan = check_input(file, request, bar.advance)
    for caution in plan.cautions:
        click.echo(f"note: {caution}", err=True)
    return plan


def _ask_model(settings: Settings, request: SubmitRequest) -> None:
    """Raises SubmissionError where Gemini has no such model; notes it where it can't be asked."""
    with Gemini(
        settings.base_url, settings.project(request.project).api_key, settings.api_version
    ) as gemini:
        unchecked = check_model(gemini.transport, request.model, request.kind)
    if unchecked is not None:
        click.echo(f"note: {unchecked}", err=True)


def _say_plan(plan: SplitInput, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(plan))
        return
    for part in plan.parts:
        lines = f"{count_of(part.requests, 'request', 'requests')} from line {part.first_line}"
        click.echo(f"part {part.number}: {lines}, {part.size_bytes:,} bytes")
    requests = count_of(plan.requests, "request", "requests")
    batches = count_of(len(plan.parts), "batch", "batches")
    click.echo(f"{requests} in {batches}; nothing was sent")
    click.echo("without --dry-run, the same command sends them", err=True)


def send_input(
    settings: Settings, file: Path, request: SubmitRequest, *, as_json: bool
) -> list[SentPart]:
    """Check, plan and send; prints what became of each part."""
    storage = open_storage(settings.storage_url)
    plan = _check(file, request)
    draft = draft_submission(file, request, plan)
    if SubmissionRecords(storage, draft.id).read_plan() is None:  # else it was asked before
        _ask_model(settings, request)
    submission, is_known = settle_submission(storage, file, draft)
    if is_known and len(submission.parts) != len(plan.parts):
        batches = count_of(len(submission.parts), "batch", "batches")
        click.echo(f"it was split into {batches} before, and stays so", err=True)

    store_requests(storage, file, submission)
    project = settings.project(request.project)
    with Gemini(settings.base_url, project.api_key, settings.api_version) as gemini:
        sent = [_send(gemini, storage, submission, part) for part in submission.parts]
    _say_sent(settings, submission, sent, as_json=as_json)
    return sent


def _send(gemini: Gemini, storage: Storage, submission: Submission, part: Part) -> SentPart:
    with tempfile.TemporaryDirectory(prefix="gbr-") as folder:
        sender = Submitter(gemini, storage, submission)
        while True:
            try:
                return sender.send(part, Path(folder))
            except StepPendingError as error:
                click.echo(str(error), err=True)
                time.sleep(error.delay_s)
            except SubmissionError as error:
                raise SubmissionError(f"{error} ({_done_so_far(part, submission)})") from error


def _done_so_far(part: Part, submission: Submission) -> str:
    batches = count_of(len(submission.parts), "batch is", "batches are")
    return f"{part.number - 1} of {batches} sent"


def _say_sent(
    settings: Settings, submission: Submission, sent: list[SentPart], *, as_json: bool
) -> None:
    batches = [(one, BatchName.read(one.batch, submission.spec.project)) for one in sent]
    if as_json:
        rows = [
            {"batch": str(batch), "status": one.status, "requests": one.part.requests}
            for one, batch in batches
        ]
        click.echo(msgspec.json.encode({"submission": submission.id, "batches": rows}))
        return

    for one, batch in batches:
        said = SAID[one.status].format(batch=batch)
        requests = count_of(one.part.requests, "request", "requests")
        click.echo(f"{said} ({requests}, {submission.name_of(one.part)})")
        place = locate_answers(settings, settings.template.text, str(batch))
        click.echo(f"its answers will be in {place}", err=True)
    if all(one.status == "known" for one in sent):
        hint = "to send the same requests once more, and pay for them again"
        click.echo(f"{hint}, give another --display-name", err=True)
    names = " ".join(batch.short for _, batch in batches)
    click.echo(f"`gemini-batch-receiver batches watch {names}` waits for them", err=True)
