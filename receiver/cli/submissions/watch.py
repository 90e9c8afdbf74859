"""`submissions watch`: follows submissions until they have ended."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import click
import msgspec

from receiver.cli.command import command, json_option, load_settings
from receiver.cli.output import printable
from receiver.cli.pace import INTERRUPTED, INTERVAL_S, Pace, look_until_done, pace_options
from receiver.cli.progress import Progress, show_progress
from receiver.cli.projects import project_of, project_option
from receiver.cli.submissions.lookup import complete_submission, find_submissions
from receiver.cli.submissions.wording import describe_cost, describe_progress, describe_state
from receiver.gemini.project_client import ProjectClient, open_clients
from receiver.inbox.redis import connect
from receiver.outputs.wording import count_of
from receiver.settings.settings import Settings
from receiver.storage import open_storage
from receiver.submissions.absent_worker import describe_absent_worker
from receiver.submissions.json_views import locate, locate_rows
from receiver.submissions.reading import SubmissionReader, ask_gemini, find_pending
from receiver.submissions.submission import Submission
from receiver.submissions.view import SubmissionView


@command("watch", "", "5d41402abc4b2a76b971", "evening --interval 30 --timeout 3600")
@click.argument("names", metavar="[SUBMISSION]...", nargs=-1, shell_complete=complete_submission)
@pace_options
@project_option
@json_option("a JSON object per change")
@click.pass_context
def watch_submissions(  # noqa: PLR0913 - one parameter per option
    ctx: click.Context,
    *,
    names: tuple[str, ...],
    interval: float,
    timeout: float | None,
    label: str | None,
    as_json: bool,
) -> None:
    """Follow submissions until they have ended.

    Without names, follows all that are under way. Exit code 0 when every request of all of them is
    answered; 1 when one is not, when one waits for a person, or when time ran out; 130 after
    Ctrl-C, which stops only the watching.
    """
    settings = load_settings()
    storage = open_storage(settings.storage_url)
    wanted = find_submissions(storage, names, label)
    if not names:
        with connect(settings.redis_url) as client:
            wanted = find_pending(client, storage, project_of(label))
    if not follow(settings, wanted, Pace(interval, timeout), as_json=as_json):
        ctx.exit(1)


def follow(
    settings: Settings,
    submissions: Sequence[Submission],
    pace: Pace | None = None,
    *,
    as_json: bool,
) -> bool:
    """Print each change until all have ended, or wait for a person.

    True when every request of all is answered.
    """
    storage = open_storage(settings.storage_url)
    wanted = {one.spec.project for one in submissions}
    projects = [project for name, project in settings.projects.items() if name in wanted]
    requests = sum(one.requests for one in submissions)
    with (
        connect(settings.redis_url) as client,
        open_clients(settings, projects) as batches,
        show_progress("answered", "requests", requests) as bar,
    ):
        reader = SubmissionReader(storage, client)
        watch = _Watch(settings, submissions, reader, batches, bar, as_json=as_json)

        def look() -> bool:
            is_first, is_done = not watch.views, watch.look()
            absent = describe_absent_worker(client) if is_first and not is_done else None
            if absent is not None:
                bar.print(absent)
            return is_done

        try:
            look_until_done(
                look, pace or Pace(INTERVAL_S, None), lambda fault: bar.print(str(fault))
            )
        except KeyboardInterrupt:
            click.echo("stopped watching; the submissions go on", err=True)
            click.get_current_context().exit(INTERRUPTED)
    return _conclude(list(watch.views.values()), settings)


class _Watch:
    """What was seen of each submission, and how it is told."""

    def __init__(  # noqa: PLR0913 - what it works with
        self,
        settings: Settings,
        submissions: Sequence[Submission],
        reader: SubmissionReader,
        batches: Mapping[str, ProjectClient],
        bar: Progress,
        *,
        as_json: bool,
    ) -> None:
        self._settings, self._reader, self._batches = settings, reader, batches
        self._submissions, self._bar, self._as_json = submissions, bar, as_json
        self._done = 0
        self.views: dict[str, SubmissionView] = {}

    def look(self) -> bool:
        """Read what has not ended. True when only a person could bring any further."""
        for submission in self._submissions:
            before = self.views.get(submission.id)
            if before is not None and before.is_ended:
                continue
            view = self._reader.read(submission)
            if view.project in self._batches:
                view = ask_gemini(view, self._batches[view.project])
            self.views[submission.id] = view
            if before is None or _essence(view) != _essence(before):
                self._tell(view)
        done = sum(map(count_done, self.views.values()))
        self._bar.advance(done - self._done)
        self._done = done
        return all(one.is_ended or one.needs_person for one in self.views.values())

    def _tell(self, view: SubmissionView) -> None:
        if self._as_json:
            click.echo(msgspec.json.encode(locate(view, self._settings)))
        else:
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            click.echo(f"{now}  {view.submission}  {describe_state(view)}; {_describe(view)}")
        sys.stdout.flush()


def count_done(view: SubmissionView) -> int:
    """Requests that are answered, or that Gemini has done in a batch that is not stored yet."""
    running = sum(one.done or 0 for one in view.parts if one.state == "at Gemini")
    return view.answered if view.is_ended else min(view.requests, view.answered + running)


def _essence(view: SubmissionView) -> object:
    """What is worth a line when it changes."""
    parts = [(one.state, one.gemini, one.done, one.is_overdue) for one in view.parts]
    return view.state, view.why, view.answered, parts


def _describe(view: SubmissionView) -> str:
    at_gemini = [one for one in view.parts if one.state == "at Gemini"]
    done, asked = sum(one.done or 0 for one in at_gemini), sum(one.requests for one in at_gemini)
    running = f"; {done:,} of {asked:,} done at Gemini" if at_gemini else ""
    return printable(f"{describe_progress(view)}{running}")


def _conclude(views: Sequence[SubmissionView], settings: Settings) -> bool:
    """Say what became of each, and where its answers lie. True when everything is well."""
    if not views:
        click.echo(
            "nothing to watch: no submission is under way;"
            " `gemini-batch-receiver submissions list` shows them",
            err=True,
        )
    for view in views:
        words = describe_state(view) if view.is_ended else f"not done yet: {describe_state(view)}"
        click.echo(f"{view.submission}: {words}; {describe_progress(view)}", err=True)
        if view.is_ended:
            rows = locate_rows(settings, view.id)
            click.echo(f"{view.submission}: the outcome of each request is in {rows}", err=True)
            click.echo(f"{view.submission}: {describe_cost(view)}", err=True)
        for hint in _hints(view):
            click.echo(f"{view.submission}: {hint}", err=True)
    well = sum(view.is_well for view in views)
    if views:
        click.echo(
            f"{well} of {count_of(len(views), 'submission is', 'submissions are')} well", err=True
        )
    return well == len(views)


def _hints(view: SubmissionView) -> Iterator[str]:
    """What a person can do."""
    if view.state == "stopped":
        yield f"`gemini-batch-receiver submissions resume {view.id}{view.resume_options}` goes on"
    elif view.state == "buried":
        yield (
            f"once the cause is removed, `gemini-batch-receiver submissions resume {view.id}`"
            " tries again"
        )
    elif view.needs_person:
        for one in view.parts:
            if one.state == "buried":
                why = f"part {one.number} is buried ({one.why})"
                yield printable(f"{why}: `gemini-batch-receiver inbox retry {one.batch}` goes on")
