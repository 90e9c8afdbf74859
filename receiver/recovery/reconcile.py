"""Reconcile: compare Gemini's list of a project with the inbox and the storage.

A webhook that never comes then delays its batch by minutes, and loses nothing.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import redis

from receiver.batch_names import INBOX_NAME
from receiver.errors import InboxUnavailableError, ReceiverError
from receiver.gemini.operations import Batch, Unread
from receiver.gemini.project_client import ProjectClient
from receiver.inbox.entries import Entry, may_pass
from receiver.inbox.job_queue import JobQueue, accept_and_enqueue
from receiver.inbox.ledger import Arrival, Inbox, Reopen
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import COUNTERS, translate_redis_errors
from receiver.notices.running_batches import RunningWatch
from receiver.recovery.expiry import find_expired
from receiver.recovery.reconcile_lock import Outcome, ReconcileLock, ReconcileRun
from receiver.recovery.replay import GROUP_SIZE, ReplayCounts, Verdict, Window, find_stored, replay
from receiver.retry import RESULTS_LIVE_S, format_rfc3339
from receiver.storage import Storage
from receiver.submissions.unfinished import accept_unfinished

MISSED = "missed_webhooks"  # a field of COUNTERS
OVERLAP_S = 3600.0  # the list may show an end late
GRACE_S = 120.0  # within it a webhook is not missed but on its way
EXPIRING_S = RESULTS_LIVE_S - 12 * 3600.0
EXPIRED_S = RESULTS_LIVE_S + 24 * 3600.0  # a warning has nothing left to save
MAX_NAMED = 20
MAX_UNCLEAR = 1000  # are remembered for the next run
# "awaited": a batch that has just ended is left to its webhook for GRACE_S.
# "expected": it is queued at once, and one that ended earlier was missed.
# "none": it is queued at once, and none was missed.
Webhooks = Literal["awaited", "expected", "none"]
log = logging.getLogger(__name__)


@dataclass
class ReconcileReport:
    """What a run saw; batches go by their names in the inbox."""

    counts: ReplayCounts = field(default_factory=ReplayCounts)
    # Queued now; they ended a while ago and no webhook ever came.
    missed: list[str] = field(default_factory=list)
    # Not stored, and their results may be gone soon.
    expiring: list[str] = field(default_factory=list)
    # Queued again: what they were buried for has passed.
    reopened: list[str] = field(default_factory=list)
    # Submissions that nobody worked on, though they are not finished.
    submissions: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Reconciliation:
    """What reconciling one project takes; `run` does it once."""

    client: "redis.Redis"
    batches: ProjectClient
    storage: Storage
    interval_s: float
    on_progress: Callable[[int], None] = lambda _: None  # how many more batches were listed
    targets: Sequence[str] = ()  # digests of the targets of notices of overdue batches
    webhooks: Webhooks = "awaited"

    def run(self, *, force: bool) -> ReconcileReport | None:
        """Reconcile the project; None when no run is due, unless `force`.

        Raises ReconcileLockedError while another process does, and the errors of Gemini, the
        storage and Redis: after one the next run starts from where this one did.
        """
        lock = ReconcileLock(self.client, self.interval_s, self.batches.project)
        run = lock.acquire(force=force)
        if run is None:
            return None

        try:
            report = self._compare(run, lambda: lock.renew(run))
        except ReceiverError:
            with suppress(InboxUnavailableError):  # the lock runs out by itself
                lock.release(run, "failed")
            raise

        unclear = [name for name in report.counts.unclear if INBOX_NAME.fullmatch(name)]
        outcome: Outcome = "unclear" if len(unclear) > MAX_UNCLEAR else "complete"
        lock.release(run, outcome, unclear)
        _log_report(report, self.batches.project)
        return report

    def _compare(self, run: ReconcileRun, renew: Callable[[], None]) -> ReconcileReport:
        report, running = ReconcileReport(), RunningWatch()

        def gives_results(batch: Batch) -> bool | None:
            renew()
            return self.batches.gives_results(batch)

        def stored_among(names: Sequence[str]) -> set[str]:
            renew()
            return find_stored(self.storage, names)

        def get_batch(name: str) -> Batch:
            renew()
            return running.see(self.batches.get(name))

        admission = _Admission(self, run, report, gives_results)
        listed = admission.watch(_renewing(running.watch(self._listed()), renew))
        since = (
            None if run.complete_ms is None else format_rfc3339(run.complete_ms / 1000 - OVERLAP_S)
        )
        window = admission.window(since)
        report.counts = replay(listed, get_batch, stored_among, admission.admit, window)

        project = self.batches.project
        running.note(self.client, project, run.began_ms, self.interval_s, self.targets)
        renew()
        report.submissions = accept_unfinished(self.client, self.storage, project)
        return report

    def _listed(self) -> Iterator[Batch | Unread]:
        for batch in self.batches.list():
            self.on_progress(1)
            yield batch


class _Admission:
    """Judges the batches of one run by the inbox, and queues what it lacks."""

    def __init__(
        self,
        parts: Reconciliation,
        run: ReconcileRun,
        report: ReconcileReport,
        gives_results: Callable[[Batch], bool | None],
    ) -> None:
        self._client, self._run, self._report = parts.client, run, report
        self._gives_results, self._webhooks = gives_results, parts.webhooks
        self._inbox, self._job_queue = Inbox(parts.client), JobQueue(parts.client)

        queries = InboxQueries(parts.client)
        self._unsettled = queries.unsettled()
        self._passing = self._find_passing(queries.names("buried", parts.batches.project))

        began_s = run.began_ms / 1000
        self._fresh_from = format_rfc3339(began_s - min(GRACE_S, parts.interval_s / 2))
        self._first = format_rfc3339(run.first_ms / 1000)
        self._expiring = Window(
            format_rfc3339(began_s - EXPIRED_S), format_rfc3339(began_s - EXPIRING_S)
        )

    def _find_passing(self, buried: Sequence[str]) -> frozenset[str]:
        """Those that were buried for something that may have passed."""
        starts = range(0, len(buried), GROUP_SIZE)
        groups = (buried[start : start + GROUP_SIZE] for start in starts)
        entries = (entry for group in groups for entry in self._inbox.entries(group).values())
        return frozenset(entry.batch for entry in entries if may_pass(entry))

    def window(self, since: str | None) -> Window:
        """What ended since then, and at any time what was unclear or may be opened again."""
        return Window(since=since, also=self._passing | self._run.unclear)

    def watch(self, listed: Iterable[Batch | Unread]) -> Iterator[Batch | Unread]:
        """The list as it is; notes which open and buried batches on it expire."""
        for batch in listed:
            if isinstance(batch, Batch) and batch.name in self._unsettled:
                self._note_expiring(batch)
            yield batch

    def admit(self, batches: Sequence[Batch]) -> list[Verdict]:
        """Queue those that the inbox lacks. Gives what became of each."""
        known = self._inbox.entries(batch.name for batch in batches)
        judged: dict[str, Verdict] = {
            batch.name: self._judge(batch, known.get(batch.name)) for batch in batches
        }
        missing = [batch for batch in batches if judged[batch.name] == "queued"]
        doubtful = [batch for batch in missing if batch.name not in self._passing]
        expired = find_expired(doubtful, self._gives_results, self._run.began_ms / 1000)
        judged |= dict.fromkeys(expired, "expired")

        arrivals = [self._arrival(batch) for batch in missing if batch.name not in expired]
        fresh = accept_and_enqueue(self._inbox, self._job_queue, arrivals)
        opened = [batch for batch in missing if batch.name in fresh]
        missed = [one.name for one in opened if one.name not in known and self._is_missed(one)]
        self._count(len(missed))
        self._report.missed += missed
        self._report.reopened += [one.name for one in opened if one.name in self._passing]

        for batch in batches:
            if judged[batch.name] != "expired":
                self._note_expiring(batch)
        return [judged[batch.name] for batch in batches]

    def _arrival(self, batch: Batch) -> Arrival:
        reopen: Reopen = "all" if batch.name in self._passing else "done"
        return Arrival(batch.name, batch.event, "reconcile", reopen=reopen)

    def _judge(self, batch: Batch, entry: Entry | None) -> Verdict:
        if entry is None:
            is_fresh = batch.ended is not None and batch.ended >= self._fresh_from
            # Before the first complete run no webhook is known to be on its way: Redis may just
            # have been wiped.
            is_awaited = self._webhooks == "awaited" and self._run.complete_ms is not None
            return "young" if is_fresh and is_awaited else "queued"
        if entry.state == "buried":
            return "queued" if may_pass(entry) and self._gives_results(batch) else "buried"
        if entry.state != "done":
            return "pending"
        return "expired" if entry.summary.expired else "queued"

    def _is_missed(self, batch: Batch) -> bool:
        is_expected = self._webhooks != "none" and batch.ended is not None
        return is_expected and self._first <= (batch.ended or "") < self._fresh_from

    def _count(self, missed: int) -> None:
        if missed:
            with translate_redis_errors("count missed webhooks"):
                self._client.hincrby(COUNTERS, MISSED, missed)

    def _note_expiring(self, batch: Batch) -> None:
        is_noted = batch.name in self._report.expiring
        if batch.is_terminal and batch.ended and self._expiring.holds(batch) and not is_noted:
            self._report.expiring.append(batch.name)


def _renewing(
    listed: Iterable[Batch | Unread], renew: Callable[[], None]
) -> Iterator[Batch | Unread]:
    for number, batch in enumerate(listed):
        if number % GROUP_SIZE == 0:
            renew()
        yield batch


def _log_report(report: ReconcileReport, project: str) -> None:
    counts = report.counts
    about: dict[str, object] = {"project": project} if project else {}
    about |= {
        "found": counts.found,
        "stored": counts.stored,
        "queued": len(counts.queued),
        "missed": len(report.missed),
        "unclear": len(counts.unclear),
    }
    log.info("reconcile.done", extra=about)

    if report.missed:
        log.warning("reconcile.missed", extra=_named(report.missed))
    if report.expiring:
        known = "Gemini does not say how long it keeps results, about two days by reports"
        hint = {"hint": f"{known}: see `inbox list`"}
        log.warning("reconcile.expiring", extra=_named(report.expiring) | hint)
    if report.reopened:
        log.info("reconcile.reopened", extra=_named(report.reopened))
    if report.submissions:
        log.info("reconcile.submissions", extra={"names": " ".join(report.submissions[:MAX_NAMED])})
    if counts.expired:
        extra = _named(counts.expired) | {"ended_before_s": RESULTS_LIVE_S}
        log.info("reconcile.expired", extra=extra)
    if counts.unclear:
        extra = _named(counts.unclear) | {"causes": counts.reasons[:MAX_NAMED]}
        log.warning("reconcile.unclear", extra=extra)


def _named(batches: Sequence[str]) -> dict[str, object]:
    return {"batches": len(batches), "names": " ".join(batches[:MAX_NAMED])}
