"""Takes in a file of requests: checks it, keeps its requests, and has a worker look at them.

The steps of `batches submit`, for whoever calls them.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from receiver.batch_names import SubmissionName
from receiver.errors import InboxUnavailableError, SubmissionError
from receiver.gemini.batches import Gemini
from receiver.inbox.redis import connect
from receiver.outputs.models import model_warnings
from receiver.outputs.wording import count_of
from receiver.settings.limits import DEFAULT_LIMITS
from receiver.settings.settings import Settings
from receiver.storage import Storage, open_storage
from receiver.submissions.absent_worker import describe_absent_worker
from receiver.submissions.estimates import (
    check_policy,
    describe_caps,
    describe_estimate,
    describe_pace,
)
from receiver.submissions.json_views import Receipt, TrialRun, locate_rows
from receiver.submissions.ledger_entry import accept_submission
from receiver.submissions.model_check import check_model
from receiver.submissions.planning import SubmitRequest, draft_submission
from receiver.submissions.policy import Policy
from receiver.submissions.settling import Intended, Settled, intend, settle
from receiver.submissions.splitting import SplitInput
from receiver.submissions.submission import Submission
from receiver.submissions.weighing import weigh_input

UNLISTED = (
    "the submission is kept, but no worker knows of it yet: {cause}. A reconcile run finds it;"
    " `gemini-batch-receiver reconcile` starts one, and so does submitting the same again, which"
    " sends nothing twice"
)


class Observer(Protocol):
    """Is told what is worth knowing, and how far the work is."""

    def say(self, line: str) -> None:
        """A line for people."""

    def progress(
        self, label: str, size_bytes: int
    ) -> AbstractContextManager[Callable[[int], None]]:
        """Gives what is called with the number of bytes that are done."""


@dataclass(frozen=True)
class CheckedFile:
    """A file whose lines may all be sent, as far as the model takes them."""

    plan: SplitInput
    refusal: SubmissionError | None  # why the model does not

    def draft(self, file: Path, request: SubmitRequest) -> Submission:
        return draft_submission(file, request, self.plan)


@dataclass(frozen=True)
class TakenIn:
    """Requests that are kept."""

    intended: Intended
    settled: Settled
    obstacle: str | None  # why no worker knows of them
    absent: str | None  # what is said where no worker runs

    def receipt(self, settings: Settings) -> Receipt:
        submission = self.settled.submission
        return Receipt(
            submission=str(SubmissionName(submission.spec.project, submission.id)),
            id=submission.id,
            display_name=submission.spec.display_name,
            known=self.intended.is_known,
            ended=self.settled.is_finished,
            command=self.settled.command,
            requests=submission.requests,
            parts=submission.parts,
            estimate=submission.estimate,
            policy=self.intended.policy,
            answers=locate_rows(settings, submission.id),
        )


def check_file(
    settings: Settings | None, file: Path, request: SubmitRequest, observer: Observer
) -> CheckedFile:
    """Check every line, and weigh the requests.

    Without settings, Gemini is not asked. Raises SubmissionError.
    """
    for warning in model_warnings(request.model, datetime.now(UTC).date()):
        observer.say(f"warning: {warning}")
    refusal = None if settings is None else _ask_model(settings, request, observer)
    with observer.progress("checking", file.stat().st_size) as advance:
        plan = weigh_input(settings, file, request, advance)
    for caution in plan.cautions:
        observer.say(f"note: {caution}")
    return CheckedFile(plan, refusal)


def _ask_model(
    settings: Settings, request: SubmitRequest, observer: Observer
) -> SubmissionError | None:
    """Why Gemini does not take the requests for this model; says so where it can't be asked."""
    project = settings.project(request.project)
    with Gemini(settings.base_url, project.api_key, settings.api_version) as gemini:
        try:
            unchecked = check_model(gemini.transport, request.model, request.kind)
        except SubmissionError as error:
            return error
    if unchecked is not None:
        observer.say(f"note: {unchecked}")
    return None


def keep_nothing(_storage: Storage, _submission_id: str) -> None:
    """Requests need nothing beside them."""


def take_in(  # noqa: PLR0913 - what was asked for, and how
    settings: Settings,
    file: Path,
    request: SubmitRequest,
    change: Mapping[str, Any],
    observer: Observer,
    *,
    keep: Callable[[Storage, str], None] = keep_nothing,
) -> TakenIn:
    """Check, plan and keep a submission, and put it into the ledger.

    `change` are the fields of its policy that the user states. `keep` stores what belongs to the
    submission of this id, before it is under way. Raises ReceiverError where it is not kept.
    """
    storage = open_storage(settings.storage_url)
    checked = check_file(settings, file, request, observer)
    intended = intend(storage, file, checked.draft(file, request), change)
    if not intended.is_known:  # else Gemini took it before
        if checked.refusal is not None:
            raise checked.refusal
        _require_possible(settings, intended.submission, intended.policy, observer)

    keep(storage, intended.submission.id)
    size_bytes = sum(part.size_bytes for part in intended.submission.parts)
    with observer.progress("storing", size_bytes) as advance:
        settled = settle(storage, file, intended, advance)
    if len(settled.submission.parts) != len(checked.plan.parts):
        parts = count_of(len(settled.submission.parts), "part", "parts")
        observer.say(f"it was split into {parts} before, and stays so")
    obstacle = absent = None
    if not settled.is_finished:
        obstacle, absent = _accept(settings, settled.submission)
    return TakenIn(intended, settled, obstacle, absent)


def try_out(
    settings: Settings | None,
    file: Path,
    request: SubmitRequest,
    change: Mapping[str, Any],
    observer: Observer,
) -> TrialRun:
    """Check and plan a submission, and send nothing.

    Raises SubmissionError where it can't be sent.
    """
    checked = check_file(settings, file, request, observer)
    if checked.refusal is not None:
        raise checked.refusal
    draft, policy = checked.draft(file, request), Policy(**change)
    _require_possible(settings, draft, policy, observer)
    return TrialRun(
        requests=draft.requests, parts=draft.parts, estimate=draft.estimate, policy=policy
    )


def _require_possible(
    settings: Settings | None, submission: Submission, policy: Policy, observer: Observer
) -> None:
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
        observer.say(line)


def _accept(settings: Settings, submission: Submission) -> tuple[str | None, str | None]:
    """Put it into the ledger. What that means where Redis is away, and where no worker runs."""
    try:
        with connect(settings.redis_url) as client:
            accept_submission(client, SubmissionName(submission.spec.project, submission.id))
            return None, describe_absent_worker(client)
    except InboxUnavailableError as error:
        return UNLISTED.format(cause=error), None
