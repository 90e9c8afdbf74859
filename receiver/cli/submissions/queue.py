"""`submissions queue`: what waits to be sent, and for what."""

from collections.abc import Iterable
from decimal import Decimal
from itertools import groupby

import click
import msgspec

from receiver.cli.command import command, json_option, limit_option, load_settings
from receiver.cli.output import print_table, shorten
from receiver.cli.projects import project_of, project_option
from receiver.cli.submissions.wording import show_most
from receiver.inbox.redis import connect
from receiver.outputs.wording import count_of
from receiver.settings.projects import DEFAULT
from receiver.storage import open_storage
from receiver.submissions.reading import SubmissionReader, find_pending
from receiver.submissions.view import PartView, Phase, SubmissionView

MAX_NAME = 28


class QueuedSubmission(msgspec.Struct, frozen=True, kw_only=True):
    """One submission in the line."""

    submission: str  # its name in the inbox
    display_name: str
    state: Phase
    next_part: int
    tokens: int | None  # of that part
    most_cost: Decimal | None  # of that part, in US dollars
    unsent: int  # parts
    why: str | None  # what it waits for


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent to one model of one project, and waits for that, oldest first."""

    project: str  # empty for the default project
    model: str
    batches: int  # at Gemini, of submissions
    tokens: int  # of those, as far as they are known
    waiting: list[QueuedSubmission]


@command("queue", "", "--project acme")
@project_option
@limit_option
@json_option("a JSON list")
def show_queue(*, label: str | None, limit: int, as_json: bool) -> None:
    """Show what waits to be sent, per project and model.

    The next part of a submission waits for room in Gemini's limit of enqueued tokens, for money, or
    because Gemini refused more for now (429). Submissions of which everything is sent are only
    counted.
    """
    settings = load_settings()
    storage = open_storage(settings.storage_url)
    with connect(settings.redis_url) as client:
        reader = SubmissionReader(storage, client)
        views = [reader.read(one) for one in find_pending(client, storage, project_of(label))]
    lines = make_lines(views)
    if as_json:
        click.echo(msgspec.json.encode(lines))
        return
    for line in lines:
        _print(line, limit)
    waiting = sum(len(line.waiting) for line in lines)
    click.echo(f"{count_of(waiting, 'submission waits', 'submissions wait')} to be sent", err=True)


def make_lines(views: Iterable[SubmissionView]) -> list[Line]:
    """The lines of projects and models, by name."""
    pending = [one for one in views if not one.is_ended]
    pending.sort(key=lambda one: (one.project, one.model, one.submitted_at))
    grouped = groupby(pending, key=lambda one: (one.project, one.model))
    return [_make_line(project, model, list(some)) for (project, model), some in grouped]


def _make_line(project: str, model: str, views: list[SubmissionView]) -> Line:
    sent = [part for one in views for part in one.parts if part.state == "at Gemini"]
    unsent = [(one, _unsent(one)) for one in views]
    return Line(
        project=project,
        model=model,
        batches=len(sent),
        tokens=sum(part.tokens or 0 for part in sent),
        waiting=[_queue(one, parts) for one, parts in unsent if parts],
    )


def _unsent(view: SubmissionView) -> list[PartView]:
    return [one for one in view.parts if one.state in {"not sent", "being sent"}]


def _queue(view: SubmissionView, unsent: list[PartView]) -> QueuedSubmission:
    return QueuedSubmission(
        submission=view.submission,
        display_name=view.display_name,
        state=view.state,
        next_part=unsent[0].number,
        tokens=unsent[0].tokens,
        most_cost=unsent[0].most_cost,
        unsent=len(unsent),
        why=view.why,
    )


def _print(line: Line, limit: int) -> None:
    batches = count_of(line.batches, "batch", "batches")
    sent = f"{batches} and {line.tokens:,} tokens at Gemini"
    click.echo(f"{line.project or DEFAULT}, {line.model}: {sent}")
    print_table(
        ("  submission", "name", "state", "next part", "tokens", "at most", "unsent", "waits for"),
        [_row(one) for one in line.waiting[:limit]],
        numbers=("next part", "tokens", "at most", "unsent"),
    )
    if len(line.waiting) > limit:
        click.echo(f"  and {len(line.waiting) - limit:,} more", err=True)


def _row(one: QueuedSubmission) -> tuple[str, ...]:
    return (
        f"  {one.submission}",
        shorten(one.display_name, MAX_NAME),
        one.state,
        str(one.next_part),
        "unknown" if one.tokens is None else f"{one.tokens:,}",
        show_most(one.most_cost),
        str(one.unsent),
        shorten(one.why or "a worker"),
    )
