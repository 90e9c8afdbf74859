"""`submissions list`: what was submitted, and how far it is."""

import time
from collections.abc import Sequence
from itertools import islice
from typing import get_args

import click
import msgspec

from receiver.cli.command import command, json_option, limit_option, load_settings
from receiver.cli.output import print_table, shorten, show_age
from receiver.cli.projects import project_of, project_option
from receiver.cli.submissions.wording import show_dollars
from receiver.inbox.redis import connect
from receiver.outputs.wording import count_of
from receiver.storage import open_storage
from receiver.storage.ordered_map import ordered_map
from receiver.submissions.reading import SubmissionReader
from receiver.submissions.records import list_submissions
from receiver.submissions.view import Phase, SubmissionView

MAX_NAME = 28
THREADS = 4  # as many as Redis connections
NOTHING = "-"


@command("list", "", "--state running --state waiting --limit 500", "--project acme")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(get_args(Phase)),
    help="Only submissions in this state; may be given several times.",
)
@project_option
@limit_option
@json_option("a JSON list")
def list_all(*, states: tuple[str, ...], label: str | None, limit: int, as_json: bool) -> None:
    """List what was submitted, newest first, and how far it is.

    Waiting ones have no batch at Gemini now, running ones have; a buried one needs a person. A
    completed one has an answer to each request or a reason that is final; a stopped one has not,
    and can be resumed.
    """
    settings = load_settings()
    storage, project = open_storage(settings.storage_url), project_of(label)
    with connect(settings.redis_url) as client:
        plans = [one for one in list_submissions(storage) if project in (None, one.spec.project)]
        plans.sort(key=lambda one: one.submitted_at, reverse=True)
        found = ordered_map(SubmissionReader(storage, client).read, plans, threads=THREADS)
        views = list(islice((one for one in found if not states or one.state in states), limit))
    if as_json:
        click.echo(msgspec.json.encode(views))
        return
    _print(views)
    more = "; there may be more: raise --limit" if len(views) == limit else ""
    click.echo(f"{count_of(len(views), 'submission', 'submissions')}{more}", err=True)


def _print(views: Sequence[SubmissionView]) -> None:
    titles = ("submission", "name", "state", "age", "parts", "rounds", "answered", "cost", "limit")
    print_table((*titles, "why"), [_row(one) for one in views], numbers=titles[3:])


def _row(view: SubmissionView) -> tuple[str, ...]:
    limit, age_s = view.policy.max_cost, time.time() - view.submitted_at
    return (
        f"{view.project}/{view.id}" if view.project else view.id,
        shorten(view.display_name, MAX_NAME),
        view.state,
        show_age(int(age_s * 1000)) if view.submitted_at else NOTHING,
        f"{view.sent:,}/{len(view.parts):,}",
        str(view.rounds),
        f"{view.answered:,}/{view.requests:,}",
        show_dollars(view.cost),
        NOTHING if limit is None else show_dollars(limit),
        shorten(view.why or ""),
    )
