"""What `batches submit` says while a file of requests is taken in, and afterwards."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from receiver.batch_names import SubmissionName
from receiver.cli.progress import show_progress
from receiver.cli.submissions.policy_options import Change, describe_policy
from receiver.cli.submissions.wording import show_most
from receiver.outputs.wording import count_of
from receiver.settings.locations import describe_storage
from receiver.settings.settings import Settings
from receiver.storage import Storage
from receiver.submissions.intake import TakenIn, keep_nothing, take_in, try_out
from receiver.submissions.json_views import locate_rows
from receiver.submissions.planning import SubmitRequest
from receiver.submissions.settling import Intended, Settled
from receiver.submissions.submission import Part, Submission


class _OnStderr:
    """Tells the user on stderr."""

    def say(self, line: str) -> None:
        click.echo(line, err=True)

    @contextmanager
    def progress(self, label: str, size_bytes: int) -> Iterator[Callable[[int], None]]:
        with show_progress(label, "bytes", size_bytes) as bar:
            yield bar.advance


def submit_file(  # noqa: PLR0913 - what was asked for, and how
    settings: Settings,
    file: Path,
    request: SubmitRequest,
    change: Change,
    *,
    as_json: bool,
    keep: Callable[[Storage, str], None] = keep_nothing,
) -> Submission:
    """Take in a file of requests; prints what became of it.

    `keep` stores what belongs to the submission of this id, before it is under way. Raises
    ReceiverError where it is not under way.
    """
    taken = take_in(settings, file, request, change, _OnStderr(), keep=keep)
    _say_settled(settings, taken, as_json=as_json)
    if taken.obstacle is not None:
        raise click.ClickException(taken.obstacle)
    for hint in _hints(settings, taken.intended, taken.settled, taken.absent):
        click.echo(hint, err=True)
    return taken.settled.submission


def print_trial(
    settings: Settings | None, file: Path, request: SubmitRequest, change: Change, *, as_json: bool
) -> None:
    """Say what would be sent under which policy. Raises SubmissionError where it can't be met."""
    trial = try_out(settings, file, request, change, _OnStderr())
    if as_json:
        click.echo(msgspec.json.encode(trial))
        return
    for part in trial.parts:
        click.echo(_describe_part(part))
    requests = count_of(trial.requests, "request", "requests")
    click.echo(f"{requests} in {count_of(len(trial.parts), 'batch', 'batches')}; nothing was sent")
    click.echo(f"policy: {describe_policy(trial.policy)}", err=True)
    click.echo("without --dry-run, the same command sends them", err=True)


def _describe_part(part: Part) -> str:
    words = [
        f"{count_of(part.requests, 'request', 'requests')} from line {part.first_line}",
        f"{part.size_bytes:,} bytes",
    ]
    if part.tokens is not None:
        words.append(f"up to {part.tokens:,} tokens")
    if part.most_cost is not None:
        words.append(f"at most {show_most(part.most_cost)}")
    return f"part {part.number}: {', '.join(words)}"


def _say_settled(settings: Settings, taken: TakenIn, *, as_json: bool) -> None:
    intended, settled = taken.intended, taken.settled
    submission = settled.submission
    if as_json:
        click.echo(msgspec.json.encode(taken.receipt(settings)))
        return

    name = SubmissionName(submission.spec.project, submission.id)
    requests = count_of(submission.requests, "request", "requests")
    parts = count_of(len(submission.parts), "part", "parts")
    known = "already submitted" if intended.is_known else "submitted"
    click.echo(f"{known} as {name} ({requests} in {parts}, {submission.spec.display_name})")
    click.echo(f"policy: {_describe_change(intended, settled)}", err=True)
    answers = describe_storage(settings.storage_url, settings.template.text)
    rows = locate_rows(settings, submission.id)
    click.echo(f"its answers will be in {answers}, the outcome of each request in {rows}", err=True)


def _describe_change(intended: Intended, settled: Settled) -> str:
    words = describe_policy(intended.policy)
    if settled.is_reopened:
        return f"{words}; it had stopped, and goes on under this policy"
    return f"{words}; this holds from now on" if intended.is_changed else words


def _hints(
    settings: Settings, intended: Intended, settled: Settled, absent: str | None
) -> Iterator[str]:
    """What to do next; `absent` is said where no worker runs."""
    command = f"gemini-batch-receiver submissions {{}} {settled.submission.id}"
    if intended.is_known:
        again = "to send the same requests once more, and pay for them again"
        yield f"{again}, give another --display-name"
    if settled.is_finished:
        yield f"it has ended: `{command.format('show')}` shows how"
    elif settled.command != "run":
        said = {"pause": "paused", "cancel": "cancelled"}[settled.command]
        yield f"it is {said}: `{command.format('resume')}` goes on"
    else:
        if absent is not None:
            yield absent
        is_shared = not settings.storage_url.startswith("file:")
        spared = "the file and this machine are" if is_shared else "the file is"
        follow = f"`{command.format('watch')}` follows it"
        yield f"workers send it, and {spared} not needed any more; {follow}"
