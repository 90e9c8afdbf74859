"""`submissions queue`: what waits to be sent, and for what."""

import time
from collections.abc import Iterable
from decimal import Decimal
from itertools import groupby

import click
import msgspec
import redis

from receiver.cli.command import command, json_option, limit_option, load_settings
from receiver.cli.output import print_table, shorten
from receiver.cli.projects import project_of, project_option
from receiver.cli.submissions.wording import show_dollars, show_most, show_time
from receiver.inbox.redis import connect
from receiver.outputs.wording import count_of
from receiver.settings.projects import DEFAULT
from receiver.settings.settings import Settings
from receiver.storage import Storage, open_storage
from receiver.submissions.quotas import Quotas
from receiver.submissions.reading import SubmissionReader, find_pending
from receiver.submissions.state import Room
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
    tokens_limit: int | None  # that may be enqueued at a time; None where no limit is known
    day_budget: Decimal | None  # left of the daily cap, in US dollars; None where there is none
    refused_until: float  # Unix time in seconds before which Gemini's 429 forbids to send; or 0
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
        lines = _make_lines(views, client, storage, settings)
    if as_json:
        click.echo(msgspec.json.encode(lines))
        return
    for line in lines:
        _print(line, limit)
    waiting = sum(len(line.waiting) for line in lines)
    click.echo(f"{count_of(waiting, 'submission waits', 'submissions wait')} to be sent", err=True)


def _make_lines(
    views: Iterable[SubmissionView], client: "redis.Redis", storage: Storage, settings: Settings
) -> list[Line]:
    """The lines of projects and models, by name; those of unknown projects are left out."""
    known = [one for one in views if not one.is_ended and one.project in settings.projects]
    known.sort(key=lambda one: (one.project, one.model, one.submitted_at))
    lines = []
    for (project, model), some in groupby(known, key=lambda one: (one.project, one.model)):
        room = Quotas(client, storage, settings, project).room(model, "", time.time())
        limit = settings.project(project).limits.enqueue_limit(model)
        lines.append(_make_line(project, model, list(some), room, limit))
    return lines


def _make_line(
    project: str, model: str, views: list[SubmissionView], room: Room, limit: int | None
) -> Line:
    sent = [part for one in views for part in one.parts if part.state == "at Gemini"]
    unsent = [(one, _unsent(one)) for one in views]
    return Line(
        project=project,
        model=model,
        batches=len(sent),
        tokens=sum(part.tokens or 0 for part in sent),
        tokens_limit=limit,
        day_budget=room.day_budget,
        refused_until=room.refused_until if room.refused_until > time.time() else 0,
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
    click.echo(f"{line.project or DEFAULT}, {line.model}: {_describe_room(line)}")
    print_table(
        ("  submission", "name", "state", "next part", "tokens", "at most", "unsent", "waits for"),
        [_row(one) for one in line.waiting[:limit]],
        numbers=("next part", "tokens", "at most", "unsent"),
    )
    if len(line.waiting) > limit:
        click.echo(f"  and {len(line.waiting) - limit:,} more", err=True)


def _describe_room(line: Line) -> str:
    """What is under way, and what limits the rest."""
    limit = "" if line.tokens_limit is None else f" of {line.tokens_limit:,}"
    words = [
        f"{count_of(line.batches, 'batch', 'batches')} and {line.tokens:,}{limit} tokens at Gemini"
    ]
    if line.day_budget is not None:
        words.append(f"{show_dollars(line.day_budget)} left today")
    if line.refused_until:
        words.append(f"Gemini refuses more (429): tried again at {show_time(line.refused_until)}")
    return ", ".join(words)


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
