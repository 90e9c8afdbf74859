"""What `batches submit` does: check a file, keep its requests, and have a worker look at them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from receiver.batch_names import SubmissionName
from receiver.cli.progress import show_progress
from receiver.cli.submissions.absent_worker import describe_absent_worker
from receiver.cli.submissions.policy_options import Change, describe_policy
from receiver.cli.submissions.show import locate_rows
from receiver.cli.submissions.wording import show_most
from receiver.errors import InboxUnavailableError, SubmissionError
from receiver.gemini.batches import Gemini
from receiver.inbox.redis import connect
from receiver.outputs.models import model_warnings
from receiver.outputs.wording import count_of
from receiver.settings.limits import DEFAULT_LIMITS
from receiver.settings.locations import describe_storage
from receiver.settings.settings import Settings
from receiver.storage import Storage, open_storage
from receiver.submissions.estimates import (
    check_policy,
    describe_caps,
    describe_estimate,
    describe_pace,
)
from receiver.submissions.ledger_entry import accept_submission
from receiver.submissions.model_check import check_model
from receiver.submissions.planning import SubmitRequest, draft_submission
from receiver.submissions.policy import Policy
from receiver.submissions.settling import Intended, Settled, intend, settle
from receiver.submissions.splitting import SplitInput
from receiver.submissions.submission import Part, Submission
from receiver.submissions.weighing import weigh_input


@dataclass(frozen=True)
class CheckedFile:
    """A file whose lines may all be sent, as far as the model takes them."""

    plan: SplitInput
    refusal: SubmissionError | None  # why the model does not

    def draft(self, file: Path, request: SubmitRequest) -> Submission:
        return draft_submission(file, request, self.plan)


def check_file(settings: Settings | None, file: Path, request: SubmitRequest) -> CheckedFile:
    """Check every line, and weigh the requests; notes and warnings go to stderr.

    Without settings, Gemini is not asked. Raises SubmissionError.
    """
    for warning in model_warnings(request.model, datetime.now(UTC).date()):
        click.echo(f"warning: {warning}", err=True)
    refusal = None if settings is None else _ask_model(settings, request)
    with show_progress("checking", "bytes", file.stat().st_size) as bar:
        plan = weigh_input(settings, file, request, bar.advance)
    for caution in plan.cautions:
        click.echo(f"note: {caution}", err=True)
    return CheckedFile(plan, refusal)


def _ask_model(settings: Settings, request: SubmitRequest) -> SubmissionError | None:
    """Why Gemini does not take the requests for this model; notes it where it can't be asked."""
    project = settings.project(request.project)
    with Gemini(settings.base_url, project.api_key, settings.api_version) as gemini:
        try:
            unchecked = check_model(gemini.transport, request.model, request.kind)
        except SubmissionError as error:
            return error
    if unchecked is not None:
        click.echo(f"note: {unchecked}", err=True)
    return None


def keep_nothing(_storage: Storage, _submission_id: str) -> None:
    """Requests need nothing beside them."""


def submit_file(  # noqa: PLR0913 - what was asked for, and how
    settings: Settings,
    file: Path,
    request: SubmitRequest,
    change: Change,
    *,
    as_json: bool,
    keep: Callable[[Storage, str], None] = keep_nothing,
) -> Submission:
    """Check, plan and keep a submission, and put it into the ledger; prints what became of it.

    `keep` stores what belongs to the submission of this id, before it is under way. Raises
    ReceiverError where it is not under way.
    """
    storage = open_storage(settings.storage_url)
    checked = check_file(settings, file, request)
    intended = intend(storage, file, checked.draft(file, request), change)
    if not intended.is_known:  # else Gemini took it before
        if checked.refusal is not None:
            raise checked.refusal
        _require_possible(settings, intended.submission, intended.policy)

    keep(storage, intended.submission.id)
    size_bytes = sum(part.size_bytes for part in intended.submission.parts)
    with show_progress("storing", "bytes", size_bytes) as bar:
        settled = settle(storage, file, intended, bar.advance)
    if len(settled.submission.parts) != len(checked.plan.parts):
        parts = count_of(len(settled.submission.parts), "part", "parts")
        click.echo(f"it was split into {parts} before, and stays so", err=True)
    obstacle = absent = None
    if not settled.is_finished:
        obstacle, absent = _accept(settings, settled.submission)
    _say_settled(settings, intended, settled, as_json=as_json)
    if obstacle is not None:
        raise click.ClickException(obstacle)
    for hint in _hints(settings, intended, settled, absent):
        click.echo(hint, err=True)
    return settled.submission


def _require_possible(settings: Settings | None, submission: Submission, policy: Policy) -> None:
    """Say what it may cost. Raises SubmissionError where the policy can't be met."""
    estimate = submission.estimate
    if estimate is None:
        return
    spec, parts = submission.spec, submission.parts
    limits = DEFAULT_LIMITS if settings is None else settings.project(spec.project).limits
    check_policy(estimate, parts, policy, limits.daily_cost_cap)
    for line in (
        *describe_estimate(estimate),
        *describe_caps(estimate, policy, limits.daily_cost_cap),
        *describe_pace(parts, limits.enqueue_limit(spec.model)),
    ):
        click.echo(line, err=True)


def _accept(settings: Settings, submission: Submission) -> tuple[str | None, str | None]:
    """Put it into the ledger. What that means where Redis is away, and where no worker runs."""
    try:
        with connect(settings.redis_url) as client:
            accept_submission(client, SubmissionName(submission.spec.project, submission.id))
            return None, describe_absent_worker(client)
    except InboxUnavailableError as error:
        return (
            f"the submission is kept, but no worker knows of it yet: {error}. A reconcile run finds"
            " it; `gemini-batch-receiver reconcile` starts one, and so does this command, which"
            " sends nothing twice"
        ), None


def try_out(settings: Settings | None, draft: Submission, policy: Policy, *, as_json: bool) -> None:
    """Say what would be sent under which policy. Raises SubmissionError where it can't be met."""
    _require_possible(settings, draft, policy)
    if as_json:
        said = {"requests": draft.requests, "parts": draft.parts, "estimate": draft.estimate}
        click.echo(msgspec.json.encode(said | {"policy": policy}))
        return
    for part in draft.parts:
        click.echo(_describe_part(part))
    requests = count_of(draft.requests, "request", "requests")
    click.echo(f"{requests} in {count_of(len(draft.parts), 'batch', 'batches')}; nothing was sent")
    click.echo(f"policy: {describe_policy(policy)}", err=True)
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


def _say_settled(
    settings: Settings, intended: Intended, settled: Settled, *, as_json: bool
) -> None:
    submission = settled.submission
    if as_json:
        click.echo(msgspec.json.encode(_describe_settled(settings, intended, settled)))
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


def _describe_settled(
    settings: Settings, intended: Intended, settled: Settled
) -> dict[str, object]:
    submission = settled.submission
    return {
        "submission": str(SubmissionName(submission.spec.project, submission.id)),
        "id": submission.id,
        "display_name": submission.spec.display_name,
        "known": intended.is_known,
        "ended": settled.is_finished,
        "command": settled.command,
        "requests": submission.requests,
        "parts": submission.parts,
        "estimate": submission.estimate,
        "policy": intended.policy,
        "answers": locate_rows(settings, submission.id),
    }
