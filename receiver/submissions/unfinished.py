"""Submissions that are not finished though nobody works on them: after Redis was wiped, say."""

from collections import defaultdict
from collections.abc import Iterator

import redis

from receiver.batch_names import SUBMISSION_ID, SubmissionName
from receiver.errors import SubmissionError
from receiver.inbox.job_queue import JobQueue, accept_and_enqueue
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import SUBMISSIONS
from receiver.storage import Storage
from receiver.submissions.ledger_entry import EVENT
from receiver.submissions.records import FOLDER, SubmissionRecords

# What tells, by its name alone, how far a submission is.
TELLING = frozenset({"plan.json", "policy.json", "command.json", "manifest.json"})


def accept_unfinished(client: "redis.Redis", storage: Storage, project: str) -> list[str]:
    """Make those of a project due that have no entry, or one that has ended too early.

    One listing, and a few reads for each that is not finished. Gives their names in the inbox.
    Raises StorageError and InboxUnavailableError.
    """
    inbox = Inbox(client, ledger=SUBMISSIONS)
    names = [str(name) for name in find_unfinished(storage, project)]
    entries = inbox.entries(names)
    left = [name for name in names if name not in entries or entries[name].state == "done"]
    arrivals = [Arrival(name, EVENT, "reconcile", reopen="done") for name in left]
    return sorted(accept_and_enqueue(inbox, JobQueue(client), arrivals)) if arrivals else []


def find_unfinished(storage: Storage, project: str) -> Iterator[SubmissionName]:
    """Those of a project whose proof is not there, or older than a person's last word.

    What an earlier version submitted has no policy, and was sent by its command alone.
    """
    found = defaultdict[str, set[str]](set)
    for name in storage.iter_names(FOLDER):
        _, submission_id, *rest = name.split("/")
        if len(rest) == 1 and rest[0] in TELLING and SUBMISSION_ID.fullmatch(submission_id):
            found[submission_id].add(rest[0])

    for submission_id in sorted(found):
        if found[submission_id] >= {"plan.json", "policy.json"}:
            records = SubmissionRecords(storage, submission_id)
            if not _is_finished(records, found[submission_id]) and _is_of(records, project):
                yield SubmissionName(project, submission_id)


def _is_of(records: SubmissionRecords, project: str) -> bool:
    try:
        plan = records.read_plan()
    except SubmissionError:  # whoever looks at it by its id is told
        return False
    return plan is not None and plan.spec.project == project


def _is_finished(records: SubmissionRecords, names: set[str]) -> bool:
    """A proof without a person's word is the end, and nothing is read to know it."""
    if "manifest.json" not in names:
        return False
    if "command.json" not in names:
        return True
    try:
        manifest, order = records.read_manifest(), records.read_order()
    except SubmissionError:
        return False
    return manifest is not None and manifest.ordered_at == order.at
