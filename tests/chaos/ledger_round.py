"""A round through the ledger: what web processes, workers, senders and people do to it, in a second.

Real calls of the product on whatever Redis it is told. Where a lease or a pause has to run out, it
lasts some milliseconds.
"""

from collections.abc import Sequence
from contextlib import suppress

import redis

from receiver.errors import LeaseLostError
from receiver.inbox.entry_fields import JobProgress, Summary
from receiver.inbox.ledger import Arrival, Inbox, Lease
from receiver.inbox.redis import SUBMISSIONS, Scripts, now_ms
from receiver.notices.outbox import Outbox
from receiver.notices.payloads import Message
from receiver.notices.queue import ClaimedNotice, NoticeQueue
from receiver.recovery.reconcile_lock import ReconcileLock
from receiver.telemetry.metrics.history import count_cost
from tests.waiting import eventually

TARGETS = ("aaaa", "bbbb")
SHORT_S = 0.02
SUBMISSION = "submissions/5d41402abc4b2a76b971"
STORED = Summary(state="SUCCEEDED", outcomes={"ok": 3})


class Round:
    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._inbox = Inbox(client, TARGETS)
        self._submissions = Inbox(client, TARGETS, SUBMISSIONS)

    def go(self) -> None:
        self.wait()
        self.store()
        self.lose_a_lease()
        self.fail()
        self.give_up()
        self.submit()
        self.send_notices()
        self.reconcile()
        self.count()

    def wait(self) -> None:
        """For a worker that never comes, however often it is announced."""
        for delivery in ("msg_w1", "msg_w2"):
            self._inbox.accept([Arrival("batches/waits", "batch.failed", "static", delivery)])
            self._pass_a_millisecond()

    def store(self) -> None:
        lease = self._open("batches/stored")
        assert self._inbox.claim(lease.batch) is None
        self._claim_twice("batches/told-again")
        self._inbox.accept([Arrival(lease.batch, "batch.succeeded", "dynamic", "msg_2")])
        self._inbox.renew(lease, progress=JobProgress(stage="split", lines=7))
        for _ in range(2):  # the answer was lost, it thinks
            self._inbox.add_reading(lease, 7, "ab" * 32)
        stranger = Lease(lease.batch, "1", 0, 0, {})
        with suppress(LeaseLostError):
            self._inbox.renew(stranger)
        self._inbox.record(lease, "cost", "flash 250000000000")
        self._inbox.finish(lease, STORED, ("results.stored", '{"complete":true}'))
        self._inbox.take_due()

    def _claim_twice(self, batch: str) -> None:
        self._inbox.accept([Arrival(batch, "batch.succeeded", "reconcile")])
        for _ in range(2):
            self._inbox.claim(batch, claim_id="c1")

    def lose_a_lease(self) -> None:
        """Once without a word, once by a worker that had been told to end."""
        self._open("batches/lost", SHORT_S)
        lease = self._claim("batches/lost", SHORT_S)
        self._inbox.leave(lease)
        self._inbox.renew(lease, SHORT_S)
        lease = self._claim("batches/lost", SHORT_S)
        self._inbox.release(self._claim("batches/lost"), "its worker was shut down")

    def fail(self) -> None:
        lease = self._open("batches/failing")
        self._inbox.postpone(lease, SHORT_S, "refused", "refusals")
        lease = self._claim(lease.batch)
        self._inbox.postpone(lease, 0, "no\nroute", "outages")
        lease = self._claim(lease.batch)
        self._inbox.postpone(lease, 3600, "it runs", "waits")
        self._inbox.accept([Arrival(lease.batch, "batch.succeeded", "static", "msg_late")])
        self._inbox.postpone(self._claim(lease.batch), 3600, "bad", "attempts")

    def give_up(self) -> None:
        lease = self._open("batches/buried")
        self._inbox.bury(lease, 'a "quote" / a €', "batch")
        for reopen in ("done", "all"):
            event = Arrival(lease.batch, "batch.succeeded", "retry", reopen=reopen)
            self._inbox.accept([event])
        self._open("batches/purged")
        self._inbox.bury_by_hand([lease.batch, "batches/purged"], "enough")
        self._inbox.purge(["batches/purged", "batches/unknown"])

    def submit(self) -> None:
        """A submission whose batches end while it waits, and while a worker has it."""
        ledger, word = self._submissions, Arrival(SUBMISSION, "submission", "submit", reopen="all")
        ledger.accept([word])
        ledger.postpone(self._take_submission(), 0, "no", "attempts")
        ledger.rest(self._take_submission(), 3600, "1 batch is under way")
        self._inbox.finish(self._open("batches/of-it"), STORED, None, SUBMISSION)
        lease = self._take_submission()
        self._inbox.bury(self._open("batches/of-it-too"), "unreadable", "batch", SUBMISSION)
        ledger.finish(lease, STORED, ("submission.completed", "{}"))
        ledger.accept([word])
        lease = self._take_submission()
        ledger.accept([word])
        ledger.finish(lease, STORED, ("submission.completed", '{"again":true}'))
        ledger.look_again(self._take_submission(), 3600, "it is looked for")

    def _take_submission(self) -> Lease:
        lease = self._submissions.claim(SUBMISSION)
        assert lease is not None
        return lease

    def send_notices(self) -> None:
        outbox, queue = Outbox(self._client, TARGETS), NoticeQueue(self._client, TARGETS[0])
        outbox.enqueue("batches/stored", Message("receiver.test", {}))
        queue.mark_delivered(self._claim_notice(queue))
        queue.postpone(self._claim_notice(queue), 3600, "503")
        dead = self._claim_notice(queue)
        queue.mark_dead(dead, "410")
        outbox.retry([dead.name])
        outbox.purge(list(outbox.names())[:1])
        row = ("batches/late", 24, "{}")
        for _ in range(2):
            self._run("enqueue_overdue_notices", 60, *row, targets=TARGETS)

    def reconcile(self) -> None:
        lock = ReconcileLock(self._client, 3600)
        run = lock.acquire()
        assert run is not None
        lock.renew(run)
        self._pass_a_millisecond()
        lock.release(run, "complete", ["batches/odd"])
        assert lock.acquire() is None

    def count(self) -> None:
        for _ in range(2):
            self._run("count", "write", 60, "gbr_a_total", 2, "gbr_seconds", 0.25)
            count_cost(self._client, "batches/flex", "flash unknown")

    def _pass_a_millisecond(self) -> None:
        begun_ms = now_ms(self._client)
        eventually(lambda: now_ms(self._client) > begun_ms)

    def _run(self, name: str, *args: str | float, targets: Sequence[str] = ()) -> None:
        Scripts(self._client, [name], targets=targets).run(name, *args)

    def _open(self, batch: str, lease_s: float = 60) -> Lease:
        self._inbox.accept([Arrival(batch, "batch.succeeded", "static", f"msg_{batch}")])
        return self._claim(batch, lease_s)

    def _claim(self, batch: str, lease_s: float = 60) -> Lease:
        found = eventually(lambda: self._inbox.claim(batch, lease_s), 10, f"a claim of {batch}")
        assert found is not None
        return found

    def _claim_notice(self, queue: NoticeQueue) -> ClaimedNotice:
        found = eventually(queue.claim, 10, "a notice that is due")
        assert found is not None
        return found
