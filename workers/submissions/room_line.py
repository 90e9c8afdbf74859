"""The submissions of a project and model that wait for room, in the order of their acceptance.

Whoever has no need of room wakes the first of them, which takes what there is and wakes the next
one, or stays in line. So room that an event frees is taken at once. Where a word is lost, a
submission looks for itself every few minutes.
"""

import time
from dataclasses import replace
from typing import Any

import redis

from receiver.batch_names import SubmissionName
from receiver.inbox.foreign import is_wrong_type, read_text
from receiver.inbox.job_queue import JobQueue
from receiver.inbox.ledger import Arrival, Inbox, Lease
from receiver.inbox.redis import ROOM_LINE, SUBMISSIONS, project_key, translate_redis_errors
from receiver.submissions.decisions import Wait
from receiver.submissions.ledger_entry import EVENT

LOOK_AGAIN_S = 1.0  # room may have become free between the look and the place in the line
LINE_TTL_S = 86_400


class RoomLine:
    """One line. `update` can raise InboxUnavailableError."""

    def __init__(self, client: "redis.Redis", project: str, model: str) -> None:
        self._client, self._jobs = client, JobQueue(client)
        self._ledger = Inbox(client, ledger=SUBMISSIONS)
        self._key = project_key(f"{ROOM_LINE}:{model.removeprefix('models/')}", project)

    def update(self, lease: Lease, wait: Wait | None) -> Wait | None:
        """Put a submission in line, or take it out and wake the first one. Gives when to look."""
        with translate_redis_errors():
            try:
                return self._update(lease, wait)
            except redis.ResponseError as error:
                if not is_wrong_type(error):
                    raise
                self._client.delete(self._key)  # of another program
                return self._update(lease, wait)

    def _update(self, lease: Lease, wait: Wait | None) -> Wait | None:
        if wait is None or not wait.lacks_room:
            self._client.zrem(self._key, lease.batch)
            self._wake_first()
            return wait
        is_new = self._client.zadd(self._key, {lease.batch: lease.first_ms}, nx=True)
        self._client.expire(self._key, LINE_TTL_S)
        return replace(wait, until=time.time() + LOOK_AGAIN_S) if is_new else wait

    def _wake_first(self) -> None:
        first: Any = self._client.zrange(self._key, 0, 0)
        for member in first:
            name = SubmissionName.read(read_text(member) or "")
            if name is not None:
                # Opens none that has ended.
                self._ledger.accept([Arrival(str(name), EVENT, "again")])
                self._jobs.enqueue_if_room([str(name)])
            self._client.zrem(self._key, member)  # it takes its old place where it still waits
