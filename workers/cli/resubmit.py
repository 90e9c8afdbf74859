"""`resubmit` and `batches merged`: send what failed once more, and see what became of it."""

import tempfile
from pathlib import Path

import click
import msgspec

from receiver.batch_names import BatchName
from receiver.cli.batch_lookup import complete_batch, find_batch
from receiver.cli.command import command, json_option, load_settings
from receiver.cli.output import printable
from receiver.cli.projects import project_option
from receiver.cli.submissions.submitting import submit_file
from receiver.errors import StorageError
from receiver.outputs.wording import count_of, quote_key
from receiver.storage import open_storage
from receiver.submissions.policy import MAX_ROUNDS
from workers.store.manifest import load_manifest
from workers.submissions.merged import MergedView, view_retries
from workers.submissions.part_results import Reading
from workers.submissions.resending import describe_resent, write_resent

SHOWN_KEYS = 10


@command("resubmit", "abc", "abc --input requests.jsonl --model gemini-3.8-flash")
@click.argument("batch", shell_complete=complete_batch)
@click.option("--model", help="Another model than the first time.")
@click.option("--display-name", help="Name of the new batch at Gemini; `retry of <id>` by default.")
@click.option(
    "--input",
    "asked",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The requests of the batch, if the storage does not have them.",
)
@click.option(
    "--rounds",
    type=click.IntRange(0, MAX_ROUNDS),
    default=0,
    show_default=True,
    help="Send what still has no answer again, so many times at most.",
)
@project_option
@json_option("a JSON object")
def resubmit(  # noqa: PLR0913 - one parameter per option
    batch: str,
    *,
    model: str | None,
    display_name: str | None,
    asked: Path | None,
    rounds: int,
    label: str | None,
    as_json: bool,
) -> None:
    """Send failed and missing requests of a batch again.

    They become a submission that is linked to the stored batch, and that workers carry out. Only
    what may succeed is sent: temporary errors, empty answers, requests without a result, answers
    that do not fit RESPONSE_SCHEMA, and those that were cut, with more room. Running it twice sends
    nothing twice: what is under way, or answered by now, is left out.
    """
    settings = load_settings()
    chosen_batch = BatchName.read(find_batch(settings, batch, label))
    name, storage = chosen_batch.gemini, open_storage(settings.storage_url)
    manifest = load_manifest(storage, name)
    if manifest is None:
        raise StorageError(
            f"{name} is not stored yet: what failed is known once it is", retryable=False
        )
    chosen = model or manifest.model
    if chosen is None:
        raise click.UsageError("the manifest does not say which model answered: give --model")

    with tempfile.TemporaryDirectory(prefix="gbr-") as folder:
        requests = Path(folder) / f"retry-of-{chosen_batch.id}.jsonl"
        # a file with the requests, where the storage does not have them
        given = {} if asked is None else {1: asked}
        reading = Reading(storage, Path(folder), lambda: None, given)
        if not write_resent(reading, manifest, requests):
            click.echo(f"nothing of {name} may succeed if it is sent again", err=True)
            return
        request = describe_resent(storage, chosen_batch, requests, chosen, display_name)
        submit_file(settings, requests, request, {"rounds": rounds}, as_json=as_json)


@command("merged", "abc")
@click.argument("batch", shell_complete=complete_batch)
@project_option
@json_option("a JSON object with every key that was sent again")
@click.pass_context
def merged(ctx: click.Context, batch: str, *, label: str | None, as_json: bool) -> None:
    """Count answers of a batch and of what was resubmitted.

    Each request counts once, by its key: an answer stays an answer, otherwise the last outcome
    counts. Exit code 0 when all are answered; 1 when one is not, or not known yet, or nobody knows
    how many there are.
    """
    settings = load_settings()
    name = BatchName.read(find_batch(settings, batch, label)).gemini
    view = view_retries(open_storage(settings.storage_url), name)
    click.echo(msgspec.json.encode(_describe(view))) if as_json else _print(view)
    if not view.is_well:
        ctx.exit(1)


def _describe(view: MergedView) -> dict[str, object]:
    """The view for programs."""
    return {
        "batches": view.batches,
        "requests": view.requests,
        "answered": view.answered,
        "complete": view.is_well,
        "outcomes": view.outcomes,
        "missing": view.missing,
        "waiting": view.waiting,
        "keys": list(view.resent.values()),
    }


def _print(view: MergedView) -> None:
    for one in view.batches:
        again = f", {one.sent_again:,} sent again" if one.sent_again else ""
        state = (
            f"{one.answered:,} answered{again}; {one.judgement}" if one.stored else "not stored yet"
        )
        click.echo(printable(f"{one.batch}: {_requests(one.requests)}, {state}"))
    rest = f"; {', '.join(view.rest)}" if view.rest else ""
    are = "is" if view.requests == 1 else "are"
    asked = _requests(view.requests)
    click.echo(printable(f"together: {view.answered:,} of {asked} {are} answered{rest}"))
    unanswered = [request for request in view.resent.values() if not request.is_answer]
    for request in unanswered[:SHOWN_KEYS]:
        why = request.outcome or "no result yet"
        where = f" in {request.batch}" if request.batch else ""
        click.echo(printable(f"  {quote_key(request.key)}: {why}{where}"), err=True)
    if len(unanswered) > SHOWN_KEYS:
        click.echo(f"  and {len(unanswered) - SHOWN_KEYS:,} more", err=True)
    for advice in view.advice:
        click.echo(advice, err=True)


def _requests(count: int | None) -> str:
    if count is None:
        return "an unknown number of requests"
    return count_of(count, "request", "requests")
