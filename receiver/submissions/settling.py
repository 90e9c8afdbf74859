"""Makes a submission durable: its requests, the policy, the order to run, and last the plan.

Whoever finds a plan finds everything that it needs. So a crash in between sends nothing, and the
same command goes on.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from receiver.storage import Storage
from receiver.submissions.batch_links import link_resubmission
from receiver.submissions.part_copy import with_hashes
from receiver.submissions.planning import settle_submission
from receiver.submissions.policy import Command, Order, Policy
from receiver.submissions.records import SubmissionRecords
from receiver.submissions.stored_requests import store_requests
from receiver.submissions.submission import Submission


@dataclass(frozen=True)
class Intended:
    """What would be sent under which policy; nothing is stored."""

    submission: Submission
    policy: Policy
    earlier: Policy | None  # of a submission that is known

    @property
    def is_known(self) -> bool:
        return self.earlier is not None

    @property
    def is_changed(self) -> bool:
        """Whether the policy of a known submission is another one now."""
        return self.earlier is not None and self.policy != self.earlier


@dataclass(frozen=True)
class Settled:
    """A submission that workers can carry out from the storage alone."""

    submission: Submission
    command: Command
    is_finished: bool
    is_reopened: bool = False  # it had stopped, and goes on under a new policy


def intend(
    storage: Storage, source: Path, draft: Submission, change: Mapping[str, Any]
) -> Intended:
    """The plan that counts, and the policy; `change` are the fields of it that the user states.

    What is not stated stays as it was. Raises StorageError and SubmissionError.
    """
    records = SubmissionRecords(storage, draft.id)
    known = records.read_plan()
    if known is None:
        return Intended(draft, Policy(**change), None)
    if not all(part.sha256 for part in known.parts):  # as earlier versions planned
        known = with_hashes(known, source)
    earlier = records.read_policy()
    return Intended(known, msgspec.structs.replace(earlier, **change), earlier)


def settle(
    storage: Storage,
    source: Path,
    intended: Intended,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Settled:
    """Store all that workers need. `on_progress` gets the size of each part in bytes.

    Raises StorageError and SubmissionError.
    """
    submission, records = intended.submission, SubmissionRecords(storage, intended.submission.id)
    store_requests(storage, source, submission, on_progress)

    if not intended.is_known or intended.is_changed:
        records.write_policy(intended.policy)
    order, manifest = records.read_order(), records.read_manifest()
    is_finished = manifest is not None and manifest.ordered_at == order.at
    is_stopped = manifest is not None and is_finished and manifest.state == "stopped"
    is_reopened = intended.is_changed and is_stopped and order.command == "run"
    if not order.at or is_reopened:
        order = Order("run", time.time())
        records.write_order(order)

    if submission.spec.retry_of is not None:  # before a worker can send it
        link_resubmission(storage, submission.spec.retry_of, submission.id)
    holding, _ = settle_submission(storage, source, submission)
    if holding.parts != submission.parts:  # another process planned it meanwhile
        store_requests(storage, source, holding)
    return Settled(holding, order.command, is_finished and not is_reopened, is_reopened)
