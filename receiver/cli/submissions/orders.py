"""`submissions pause`, `resume` and `cancel`: what a person says last holds."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import click
import msgspec

from receiver.batch_names import SubmissionName
from receiver.cli.command import command, json_option, load_settings
from receiver.cli.output import printable
from receiver.cli.projects import project_option
from receiver.cli.submissions.lookup import complete_submission, find_submissions
from receiver.cli.submissions.policy_options import (
    Change,
    describe_policy,
    require_writable,
    resume_options,
)
from receiver.errors import InboxUnavailableError
from receiver.inbox.redis import connect
from receiver.outputs.wording import count_of
from receiver.settings.settings import Settings
from receiver.storage import Storage, open_storage
from receiver.submissions.ledger_entry import accept_submission
from receiver.submissions.policy import Command, Order, Policy
from receiver.submissions.proof import SubmissionManifest
from receiver.submissions.records import SubmissionRecords
from receiver.submissions.state import REASONS, StopReason
from receiver.submissions.submission import Submission

NEEDED: dict[StopReason, str] = {  # what must be allowed before it can go on
    "rounds": "allow more with --rounds",
    "budget": "allow more with --max-cost, or --max-cost none",
}
names_argument = click.argument(
    "names",
    metavar="SUBMISSION...",
    nargs=-1,
    required=True,
    shell_complete=complete_submission,
)


class OrderResult(msgspec.Struct, frozen=True):
    """What became of the order for one submission."""

    submission: str  # its name in the inbox
    done: bool
    said: str


class RefusedOrder(Exception):  # noqa: N818 - it is an answer
    """Why the order makes no sense for a submission."""


@dataclass(frozen=True)
class Standing:
    """What was said of a submission so far, and how it ended."""

    submission: Submission
    records: SubmissionRecords
    policy: Policy
    order: Order
    manifest: SubmissionManifest | None  # of one that has ended

    @classmethod
    def read(cls, storage: Storage, submission: Submission) -> "Standing":
        """Raises StorageError and SubmissionError."""
        records = SubmissionRecords(storage, submission.id)
        order, manifest = records.read_order(), records.read_manifest()
        is_ended = manifest is not None and manifest.ordered_at == order.at
        ended = manifest if is_ended else None
        return cls(submission, records, records.read_policy(), order, ended)

    def give(self, command: Command) -> None:
        self.records.write_order(Order(command, time.time()))


@command("pause", "5d41402abc4b2a76b971", "evening")
@names_argument
@project_option
@json_option("a JSON list")
def pause_submissions(*, names: tuple[str, ...], label: str | None, as_json: bool) -> None:
    """Send nothing more of submissions until they are resumed.

    Batches that are at Gemini go on, and are stored. Exit code 1 when a submission has ended.
    """

    def pause(one: Standing) -> str:
        _refuse_ended(one)
        if one.order.command == "pause":
            return "it was paused before"
        one.give("pause")
        resume = f"gemini-batch-receiver submissions resume {one.submission.id}"
        return f"paused: nothing more is sent; `{resume}` goes on"

    settings = load_settings()
    storage = open_storage(settings.storage_url)
    _carry_out(settings, storage, find_submissions(storage, names, label), pause, as_json=as_json)


@command("resume", "5d41402abc4b2a76b971", "evening --rounds 5 --max-cost 40")
@names_argument
@resume_options
@project_option
@json_option("a JSON list")
def resume_submissions(
    *, names: tuple[str, ...], change: Change, label: str | None, as_json: bool
) -> None:
    """Go on with submissions that are paused, cancelled or stopped.

    One that stopped at a limit needs a higher one. Options that are not stated stay as they are.
    Exit code 1 when there is nothing to go on with.
    """

    def resume(one: Standing) -> str:
        policy = msgspec.structs.replace(one.policy, **change)
        _refuse_vain(one, policy)
        is_running = one.order.command == "run" and one.manifest is None
        if policy == one.policy and is_running:
            return "it is under way already: a worker looks at it now"
        if policy != one.policy:
            one.records.write_policy(policy)
        if not is_running:
            one.give("run")
        return f"it goes on: {describe_policy(policy)}"

    settings = load_settings()
    require_writable(change)
    storage = open_storage(settings.storage_url)
    _carry_out(settings, storage, find_submissions(storage, names, label), resume, as_json=as_json)


@command("cancel", "5d41402abc4b2a76b971", "evening --yes")
@names_argument
@click.option("--yes", is_flag=True, help="Really do it, without asking.")
@project_option
@json_option("a JSON list")
def cancel_submissions(
    *, names: tuple[str, ...], yes: bool, label: str | None, as_json: bool
) -> None:
    """Stop submissions, and cancel their batches at Gemini.

    What is answered already is stored. Exit code 1 when a submission has ended.
    """

    def cancel(one: Standing) -> str:
        _refuse_ended(one)
        if one.order.command == "cancel":
            return "it was cancelled before"
        one.give("cancel")
        return "cancelled: what is answered already is kept"

    settings = load_settings()
    storage = open_storage(settings.storage_url)
    wanted = find_submissions(storage, names, label)
    if not yes:
        _ask(wanted)
    _carry_out(settings, storage, wanted, cancel, as_json=as_json)


def _ask(wanted: Sequence[Submission]) -> None:
    """Ask for confirmation. Raises UsageError where nobody can answer, and Abort on a no."""
    what = count_of(len(wanted), "submission", "submissions")
    what += f" of {count_of(sum(one.requests for one in wanted), 'request', 'requests')}"
    if not sys.stdin.isatty():
        raise click.UsageError(f"this would cancel {what}: add --yes to do it")
    click.confirm(f"Cancel {what}?", abort=True, err=True)


def _refuse_ended(one: Standing) -> None:
    if one.manifest is not None:
        raise RefusedOrder(f"it has ended: {one.manifest.state}")


def _refuse_vain(one: Standing, policy: Policy) -> None:
    """What is over or would stop again at once can't be resumed."""
    ended = one.manifest
    if ended is None:
        return
    if ended.state == "completed" or ended.reason is None:
        raise RefusedOrder("it is completed: nothing is left that may succeed")
    if ended.reason in NEEDED and not _allows_more(ended, policy):
        raise RefusedOrder(f"{REASONS[ended.reason]}: {NEEDED[ended.reason]}")


def _allows_more(ended: SubmissionManifest, policy: Policy) -> bool:
    if ended.reason == "rounds":
        return policy.rounds > ended.policy.rounds
    limit, before = policy.max_cost, ended.policy.max_cost
    is_higher = limit is None or (before is not None and limit > before)
    return is_higher or (policy.allow_unknown_cost and not ended.policy.allow_unknown_cost)


def _carry_out(
    settings: Settings,
    storage: Storage,
    wanted: Sequence[Submission],
    act: Callable[[Standing], str],
    *,
    as_json: bool,
) -> None:
    """Give the order for each, and wake its worker. The exit code is 1 where one is not done."""
    results = [_order(settings, storage, one, act) for one in wanted]
    if as_json:
        click.echo(msgspec.json.encode(results))
    else:
        for one in results:
            click.echo(f"{one.submission}: {printable(one.said)}", err=not one.done)
    if not all(one.done for one in results):
        click.get_current_context().exit(1)


def _order(
    settings: Settings, storage: Storage, submission: Submission, act: Callable[[Standing], str]
) -> OrderResult:
    name = SubmissionName(submission.spec.project, submission.id)
    try:
        said = act(Standing.read(storage, submission))
    except RefusedOrder as refusal:
        return OrderResult(str(name), done=False, said=str(refusal))
    try:
        with connect(settings.redis_url) as client:
            accept_submission(client, name)
    except InboxUnavailableError as error:
        late = f"{said}; {error}, so a worker hears of it with the next reconcile run"
        return OrderResult(str(name), done=False, said=late)
    return OrderResult(str(name), done=True, said=said)
