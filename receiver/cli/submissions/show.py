"""`submissions show`: where one stands, and what it waits for."""

from collections.abc import Iterator

import click
import msgspec

from receiver.cli.command import command, json_option, load_settings
from receiver.cli.output import printable
from receiver.cli.projects import project_option
from receiver.cli.submissions.lookup import complete_submission, find_submission
from receiver.cli.submissions.policy_options import describe_policy
from receiver.cli.submissions.wording import (
    describe_cost,
    describe_part,
    describe_progress,
    describe_rows,
    describe_state,
    show_time,
)
from receiver.gemini.project_client import open_client
from receiver.inbox.redis import connect
from receiver.rows.export_target import ExportTarget
from receiver.rows.keeping import prove_rows
from receiver.settings.settings import Settings
from receiver.storage import open_storage
from receiver.submissions.absent_worker import describe_absent_worker
from receiver.submissions.estimates import describe_estimate
from receiver.submissions.json_views import detail, locate_rows
from receiver.submissions.proof import RowsProof
from receiver.submissions.reading import SubmissionReader, ask_gemini
from receiver.submissions.view import SubmissionView


@command("show", "5d41402abc4b2a76b971", "evening")
@click.argument("submission", shell_complete=complete_submission)
@project_option
@json_option("a JSON object")
def show_submission(submission: str, *, label: str | None, as_json: bool) -> None:
    """Show where a submission stands, and what it waits for.

    SUBMISSION is an id, the beginning of one, a display name, or the name of its file. Shows its
    parts and rounds with their batches, here and at Gemini, its cost beside the limit, and where
    the answers lie.
    """
    settings = load_settings()
    storage = open_storage(settings.storage_url)
    plan = find_submission(storage, submission, label)
    with connect(settings.redis_url) as client:
        view = SubmissionReader(storage, client).read(plan)
        absent = None if view.is_ended else describe_absent_worker(client)
    if any(one.state == "at Gemini" for one in view.parts):
        with open_client(settings, settings.project(view.project)) as batches:
            view = ask_gemini(view, batches)
    rows = prove_rows(storage, plan.id)
    if as_json:
        click.echo(msgspec.json.encode(detail(view, settings, rows)))
        return
    for name, text in _lines(view, settings, rows):
        click.echo(f"{name:<11} {printable(text)}")
    for part in view.parts:
        where = f"round {part.round}, part" if part.round else "part"
        batch = f"{part.batch}: " if part.batch else ""
        click.echo(f"{where} {part.number}: {batch}{describe_part(part)}")
    if absent is not None:
        click.echo(absent, err=True)
    for hint in _hints(view):
        click.echo(hint, err=True)


def _lines(
    view: SubmissionView, settings: Settings, rows: RowsProof | None
) -> Iterator[tuple[str, str]]:
    yield "submission", view.submission
    yield "name", f"{view.display_name} ({view.file})"
    yield "model", view.model
    yield "submitted", show_time(view.submitted_at)
    yield "state", describe_state(view)
    yield "progress", describe_progress(view)
    if rows is not None:
        yield "rows", describe_rows(rows)
    yield "policy", describe_policy(view.policy)
    if view.estimate is not None and not view.is_ended:
        first, *_ = describe_estimate(view.estimate)
        yield "estimate", first.removeprefix("cost: ")
    yield "cost", describe_cost(view)
    if view.policy.export is not None:
        place = ExportTarget.parse(view.policy.export)
        yield "table", f"{place}{'' if view.is_ended else ' (at its end)'}"
    yield "answers", f"{locate_rows(settings, view.id)}{'' if view.is_ended else ' (at its end)'}"


def _hints(view: SubmissionView) -> Iterator[str]:
    program = "gemini-batch-receiver"
    for part in view.parts:
        if part.state == "buried":
            yield f"`{program} inbox retry {part.batch}` goes on with part {part.number}"
    match view.state:
        case "paused" | "stopped":
            yield f"`{program} submissions resume {view.id}{view.resume_options}` goes on"
        case "waiting" | "running":
            yield f"`{program} submissions watch {view.id}` follows it"
        case _:
            return
