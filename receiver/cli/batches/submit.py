"""`batches submit`: from a file of requests to a submission, which workers carry out."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import msgspec

from receiver.cli.command import command, json_option, load_settings
from receiver.cli.projects import read_project
from receiver.cli.submissions.policy_options import Change, policy_options, require_writable
from receiver.cli.submissions.row_options import RowOptions, row_options
from receiver.cli.submissions.rows_submitting import (
    TableRequests,
    print_preview,
    requests_of_table,
    stored_answers,
)
from receiver.cli.submissions.submitting import print_trial, submit_file
from receiver.cli.submissions.watch import follow
from receiver.errors import SettingsError
from receiver.rows.readers import TableFormat
from receiver.settings.web_urls import parse_web_url
from receiver.submissions.intake import keep_nothing
from receiver.submissions.planning import SubmitRequest


@command(
    "submit",
    "requests.jsonl --model gemini-3.8-flash",
    "requests.jsonl --model gemini-3.8-flash --dry-run",
    "requests.jsonl --model gemini-3.8-flash --max-cost 20 --rescue-after 30h --wait",
    "texts.jsonl --model gemini-embedding-001 --display-name evening",
    "reviews.csv --prompt prompt.j2 --key id --model gemini-3.8-flash",
    "reviews.csv --prompt prompt.j2 --schema mood.json --model gemini-3.8-flash --preview 3",
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
    help="Name of the batches at Gemini. The same requests under another name are sent once more.",
)
@click.option(
    "--webhook",
    metavar="URL",
    help="Where Gemini reports on these batches, in place of the registered webhooks.",
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
@row_options
@policy_options
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
    "--dry-run",
    is_flag=True,
    help="Check every line, say what would be sent and what it may cost, and send nothing.",
)
@click.option("--wait", is_flag=True, help="Follow it to its end, as `submissions watch` does.")
@json_option("a JSON object")
@click.pass_context
def submit(  # noqa: PLR0913 - one parameter per option
    ctx: click.Context,
    /,
    file: Path,
    *,
    change: Change,
    rows: RowOptions,
    label: str | None,
    dry_run: bool,
    wait: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Check the requests of a file, and have workers send them.

    FILE has one request per line; or it is a table (.csv, .tsv, .jsonl, .parquet), and --prompt or
    --embed says what to ask of each row: `submissions export` then writes the same rows with their
    answers. The requests are kept in the storage, so the file and this
    machine are not needed afterwards: workers send them part by part, and send again what has no
    answer. The same requests are never sent to the same model twice: run the command again after
    any failure; options that are stated then hold from then on. Exit code 1 when it is not under
    way, with --wait also when a request has no answer in the end.
    """
    request, form = _read_request(**options), rows.form_of(file)
    if form is not None and rows.preview is not None:
        print_preview(file, form, rows)
        return
    require_writable(change)
    with _open_requests(file, form, rows, request, label) as (requests, table):
        if table is not None:
            request = table.complete(request)
        if dry_run:
            _dry_run(requests, request, label, change, as_json=as_json)
            return
        settings = load_settings()
        request = replace(request, project=read_project(settings, label).name)
        keep = keep_nothing if table is None else table.keep
        submission = submit_file(settings, requests, request, change, as_json=as_json, keep=keep)
    if wait and not follow(settings, [submission], as_json=as_json):
        ctx.exit(1)


@contextmanager
def _open_requests(
    file: Path,
    form: TableFormat | None,
    rows: RowOptions,
    request: SubmitRequest,
    label: str | None,
) -> Iterator[tuple[Path, TableRequests | None]]:
    """The file of requests, made of the table if it is one. Raises RowsError."""
    if form is None:
        yield file, None
        return
    with ExitStack() as stack:
        stored = None
        if rows.reuse:
            settings = load_settings()
            project = read_project(settings, label).name
            stored = stack.enter_context(stored_answers(settings, request.model, project))
        table = stack.enter_context(requests_of_table(file, form, rows, stored))
        yield table.files.requests, table


def _read_request(  # noqa: PLR0913 - one parameter per option
    *,
    model: str,
    embeddings: bool,
    display_name: str | None,
    webhook: str | None,
    metadata: str | None,
    inline: bool,
    max_requests: int | None,
    allow_unknown_fields: bool,
) -> SubmitRequest:
    return SubmitRequest(
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


def _dry_run(
    file: Path, request: SubmitRequest, label: str | None, change: Change, *, as_json: bool
) -> None:
    """A dry run, which also works without settings."""
    settings = None
    try:
        settings = load_settings()
    except SettingsError as error:
        click.echo(f"note: the model {request.model} was not checked: {error}", err=True)
    else:
        request = replace(request, project=read_project(settings, label).name)
    print_trial(settings, file, request, change, as_json=as_json)


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
