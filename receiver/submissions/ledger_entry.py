"""A submission's entry in its ledger: what makes a worker look at it."""

import redis

from receiver.batch_names import SubmissionName
from receiver.inbox.job_queue import JobQueue
from receiver.inbox.ledger import Arrival, Inbox, Source
from receiver.inbox.redis import SUBMISSIONS

EVENT = "submission"


def accept_submission(
    client: "redis.Redis", name: SubmissionName, source: Source = "submit"
) -> bool:
    """Make a submission due now, whatever became of it before. True where that opened an entry.

    Call it once the plan, the requests and the policy are in the storage. Raises
    InboxUnavailableError when Redis can't be asked; a reconcile run finds the submission then.
    """
    arrival = Arrival(str(name), EVENT, source, reopen="all")
    (is_opened,) = Inbox(client, ledger=SUBMISSIONS).accept([arrival])
    # Also where it was open: a job too many does nothing, and without one it waits for the sweep.
    JobQueue(client).enqueue_if_room([str(name)])
    return is_opened
