"""`inbox list`, `deliveries` and `show`: what the inbox knows."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, get_args

import click
import msgspec
import redis

from receiver.cli.batch_lookup import complete_batch, find_batch
from receiver.cli.command import command, json_option, limit_option, load_settings
from receiver.cli.option_types import Moment
from receiver.cli.output import print_table, printable, shorten, show_age, show_moment
from receiver.cli.projects import project_of, project_option
from receiver.inbox.delivery_log import Delivery, fetch_deliveries
from receiver.inbox.entries import Entry, State
from receiver.inbox.entry_fields import JobProgress, Summary, judge_summary
from receiver.inbox.finding import (
    FIRST_MS,
    LAST_MS,
    WANTED_OUTCOMES,
    BatchFilter,
    FoundBatches,
    find_first,
)
from receiver.inbox.json_views import judge_entry, list_entry
from receiver.inbox.ledger import Inbox
from receiver.inbox.queries import EntryPage, InboxQueries
from receiver.inbox.redis import SUBMISSIONS, connect
from receiver.outputs.manifest import Cost
from receiver.outputs.paths import batch_folder
from receiver.outputs.wording import count_of
from receiver.settings.locations import describe_storage

NOTHING = "-"
UNKNOWN = "unknown"
MAX_NAME = 40


@command("list", "", "--state buried --limit 500", "--find evening --outcome error --since 2d")
@click.option("--state", type=click.Choice(get_args(State)), help="Only batches in this state.")
@click.option("--find", "text", default="", help="Only those with this in the name, id or cause.")
@click.option(
    "--outcome",
    type=click.Choice(WANTED_OUTCOMES),
    help="Only stored batches that are well, are not, are expired, or have a request of this kind.",
)
@click.option("--model", default="", help="Only stored batches of a model with this in its name.")
@click.option(
    "--since", type=Moment(), help="Only batches that ended then or later: 36h, 7d or RFC 3339."
)
@click.option("--until", type=Moment(), help="Only batches that ended before this moment.")
@click.option("--oldest", is_flag=True, help="Those that ended first, first.")
@click.option("--deliveries", is_flag=True, hidden=True)  # of the former `inbox list`
@project_option
@limit_option
@json_option("a JSON list")
@click.pass_context
def list_batches(
    ctx: click.Context,
    /,
    *,
    deliveries: bool,
    label: str | None,
    limit: int,
    as_json: bool,
    **options: Any,
) -> None:
    """List the batches of the inbox.

    Open ones wait for a worker, leased ones are worked on, done ones are stored or expired, and
    buried ones are not tried again. Pending ones have no end: for --since and --until counts when
    they were accepted.
    """
    if deliveries:
        ctx.invoke(list_deliveries, label=label, limit=limit, as_json=as_json)
        return

    wanted = _read_filter(project_of(label), **options)
    with connect(load_settings().redis_url) as client:
        found, count = _find(client, wanted, limit)
        submissions = _count_submissions(client, wanted.project)
    if as_json:
        rows = [list_entry(entry, found.now_ms) for entry in found.entries]
        click.echo(msgspec.json.encode(rows))
        return

    print_table(
        ("name", "batch", "state", "age", "attempts", "waits", "source", "cause"),
        [_row(entry, found.now_ms) for entry in found.entries],
        numbers=("age", "attempts", "waits"),
    )
    click.echo(count, err=True)
    if submissions:
        under_way = count_of(submissions, "submission is", "submissions are")
        hint = "`gemini-batch-receiver submissions queue` shows what they wait for"
        click.echo(f"{under_way} under way: {hint}", err=True)


def _read_filter(  # noqa: PLR0913 - one parameter per option
    project: str | None,
    *,
    state: State | None,
    text: str,
    outcome: str | None,
    model: str,
    since: str | None,
    until: str | None,
    oldest: bool,
) -> BatchFilter:
    return BatchFilter(
        text=text,
        state=state,
        outcome=outcome or "",
        project=project,
        model=model,
        since_ms=FIRST_MS if since is None else _read_ms(since),
        until_ms=LAST_MS if until is None else _read_ms(until) - 1,
        order="oldest" if oldest else "newest",
    )


def _read_ms(moment: str) -> int:
    return int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp() * 1000)


def _find(
    client: "redis.Redis", wanted: BatchFilter, limit: int
) -> tuple[EntryPage | FoundBatches, str]:
    """The first entries that are wanted, and in words how many there are, as far as that is known.

    Without other filters they come by state.
    """
    if wanted == BatchFilter(state=wanted.state, project=wanted.project):
        listing = InboxQueries(client).listing(wanted.state, limit, wanted.project)
        total = count_of(listing.total, "batch", "batches")
        return listing, f"{len(listing.entries)} of {total}"
    found = find_first(client, wanted, limit)
    count = count_of(len(found.entries), "batch", "batches")
    return found, f"the first {count} found" if found.cursor else f"{count} found"


def _count_submissions(client: "redis.Redis", project: str | None) -> int:
    """Those that have not ended."""
    queries = InboxQueries(client, SUBMISSIONS)
    return len([*queries.names("open", project), *queries.names("leased", project)])


def _row(entry: Entry, now_ms: int) -> tuple[str, ...]:
    return (
        shorten(entry.display_name, MAX_NAME),
        entry.batch,
        entry.state,
        show_age(now_ms - entry.accepted_ms),
        str(entry.attempts),
        str(entry.waits),
        entry.source,
        shorten(entry.cause),
    )


@command("deliveries", "", "--limit 200 --project acme")
@project_option
@limit_option
@json_option("a JSON list")
def list_deliveries(*, label: str | None, limit: int, as_json: bool) -> None:
    """List the last deliveries with their verdicts.

    A delivery is accepted, known (it came before), ignored (of no batch), refused (its signature is
    wrong) or malformed.
    """
    with connect(load_settings().redis_url) as client:
        found = fetch_deliveries(client, limit, project_of(label))
    if as_json:
        click.echo(msgspec.json.encode(found))
        return

    print_table(
        ("time", "verdict", "scheme", "webhook-id", "batch or cause"),
        [
            (show_moment(one.time_ms), one.verdict, one.scheme, one.delivery_id, _subject(one))
            for one in found
        ],
    )
    click.echo(count_of(len(found), "delivery", "deliveries"), err=True)


def _subject(one: Delivery) -> str:
    """A batch, which names its project, or why it was refused at which project's endpoint."""
    words = one.cause or one.event
    return one.batch or (f"{one.project}: {words}" if one.project else words)


@command("show", "batches/abc", "evening")
@click.argument("batch", shell_complete=complete_batch)
@json_option("a JSON object")
def show_batch(batch: str, *, as_json: bool) -> None:
    """Show all that the inbox knows of a batch.

    The source is what brought it in: a delivery of a static webhook, which is registered at Gemini,
    or of a dynamic one, which a batch names itself; `replay`; a reconcile run; `inbox retry`; or
    `replay --again`. Exit code 1 when that is nothing.
    """
    settings = load_settings()
    name = find_batch(settings, batch)
    with connect(settings.redis_url) as client:
        entry = Inbox(client).entries([name]).get(name)
        is_foreign = entry is None and InboxQueries(client).knows(name)
    if is_foreign:
        raise click.ClickException(
            f"another program changed the entry of {name}, and it can't be read:"
            f" `gemini-batch-receiver inbox purge {name} --yes` removes it"
        )
    if entry is None:
        raise click.ClickException(explain_unknown(name))
    if as_json:
        click.echo(msgspec.json.encode(judge_entry(entry)))
        return

    for label, text in entry_lines(entry):
        click.echo(f"{label:<9} {printable(text)}")
    if entry.state == "done" and not entry.summary.expired:
        click.echo(f"folder    {describe_storage(settings.storage_url, batch_folder(name))}")
    for step in entry.timeline:
        line = f"{show_moment(step.time_ms)}  {step.what:<11} {printable(step.detail)}"
        click.echo(line.rstrip())


def explain_unknown(name: str) -> str:
    """What to do about a batch that the inbox does not know."""
    hint = f"`gemini-batch-receiver replay --batch {name}` asks Gemini for it"
    return f"the inbox does not know {name}: {hint}"


def entry_lines(entry: Entry) -> Iterator[tuple[str, str]]:
    """Labels and texts of all that the inbox knows but the timeline.

    `-` stands for nothing, `unknown` for what nobody knows.
    """
    yield "batch", entry.batch
    yield "project", entry.project or NOTHING
    yield "state", entry.state
    yield "event", entry.event or NOTHING
    yield "source", entry.source
    yield "attempts", f"{entry.attempts} failed"
    yield "waits", str(entry.waits)
    yield "accepted", show_moment(entry.accepted_ms)
    yield "changed", show_moment(entry.changed_ms)
    yield "cause", entry.cause or NOTHING
    yield "metadata", _compact(entry.metadata) if entry.metadata else NOTHING
    yield "progress", _describe_progress(entry.progress) if entry.progress else NOTHING
    if entry.state == "done":
        yield from _summary_lines(entry.summary, entry.batch)


def _summary_lines(summary: Summary, name: str) -> Iterator[tuple[str, str]]:
    judgement = judge_summary(summary, name)
    if judgement is None:
        yield "expired", summary.expired
        return

    counts = ", ".join(
        f"{outcome} {count:,}" for outcome, count in summary.outcomes.items() if count
    )
    cost = summary.cost
    yield "judgement", judgement.text
    yield "gemini", summary.state or UNKNOWN
    yield "name", summary.display_name or NOTHING
    yield "model", summary.model or UNKNOWN
    yield "created", summary.created or UNKNOWN
    yield "ended", summary.ended or UNKNOWN
    yield "requests", _number(summary.requests)
    yield "outcomes", counts or "none"
    yield "missing", _number(summary.missing)
    yield "cost", f"{cost.amount} {cost.currency}" if isinstance(cost, Cost) else UNKNOWN
    yield "objects", f"{summary.objects.count:,}, {summary.objects.bytes:,} bytes"
    if judgement.advice:
        yield "next", judgement.advice


def _describe_progress(progress: JobProgress) -> str:
    size = f" of {progress.total_bytes:,}" if progress.total_bytes else ""
    results = count_of(progress.lines, "result", "results")
    if progress.requests:
        results = f"{progress.lines:,} of {count_of(progress.requests, 'result', 'results')}"
    done = f"{progress.bytes:,}{size} bytes, {results}"
    return f"{progress.stage}: {done}"


def _number(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"


def _compact(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
