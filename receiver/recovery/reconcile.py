"""Reconcile: looks at a project's whole list, so that a callback that never comes costs minutes, not the batch."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import redis

from receiver.batch_names import INBOX_NAME
from receiver.errors import InboxUnavailableError, ReceiverError
from receiver.gemini.operations import Batch, Unread
from receiver.gemini.project_client import ProjectClient
from receiver.gemini.retention import moment
from receiver.inbox.burials import may_pass
from receiver.inbox.entries import Entry
from receiver.inbox.job_queue import JobQueue
from receiver.inbox.ledger import Arrival, Inbox, Reopen
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import COUNTERS, translate_redis_errors
from receiver.recovery.expiry import find_expired
from receiver.recovery.reconcile_lock import ReconcileLock, ReconcileRun
from receiver.recovery.replay import TOGETHER, ReplayCounts, Verdict, Window, find_stored, replay
from receiver.recovery.running_batches import RunningWatch
from receiver.retry import RESULTS_LIVE_S
from receiver.storage import Storage

MISSED = "missed_webhooks"  # a field of COUNTERS
OVERLAP_S = 3600.0  # the list may show an end late
GRACE_S = 120.0  # within it a callback is not missed but on its way
EXPIRING_S = RESULTS_LIVE_S - 12 * 3600.0
EXPIRED_S = RESULTS_LIVE_S + 24 * 3600.0  # a warning has nothing left to save
MAX_NAMED = 20
MAX_UNCLEAR = 1000  # are remembered for the next look
log = logging.getLogger(__name__)


@dataclass
class ReconcileReport:
    """What a look saw; batches go by their names in the inbox."""

    tally: ReplayCounts = field(default_factory=ReplayCounts)
    missed: list[str] = field(
        default_factory=list
    )  # queued now; they ended long ago and no callback ever came
    expiring: list[str] = field(
        default_factory=list
    )  # not stored, and their results may be gone soon
    reopened: list[str] = field(
        default_factory=list
    )  # queued again: what they were buried for has passed


@dataclass(frozen=True)
class Reconciliation:
    """One look's parts. `run` makes the look."""

    client: "redis.Redis"
    batches: ProjectClient
    storage: Storage
    interval_s: float
    heard: Callable[[int], None] = lambda _: None  # how many more batches of the list were seen
    targets: Sequence[str] = ()  # digests of whom to tell of overdue batches

    def run(self, *, even_early: bool) -> ReconcileReport | None:
        """Look when it is our turn; None when it is early.

        Raises LookHeldError when another process is looking, and the errors of Gemini, the storage and Redis: after one
        the next look starts from where this one did.
        """
        looks = ReconcileLock(self.client, self.interval_s, self.batches.project)
        look = looks.take(even_early=even_early)
        if look is None:
            return None
        try:
            report = self._look(looks, look)
        except ReceiverError:
            with suppress(InboxUnavailableError):  # the turn runs out by itself
                looks.end(look, "failed")
            raise
        unclear = [name for name in report.tally.unclear if INBOX_NAME.fullmatch(name)]
        looks.end(look, "unclear" if len(unclear) > MAX_UNCLEAR else "complete", unclear)
        _tell(report, self.batches.project)
        return report

    def _look(self, looks: ReconcileLock, look: ReconcileRun) -> ReconcileReport:
        report, running = ReconcileReport(), RunningWatch()

        def gives_results(batch: Batch) -> bool | None:
            looks.hold(look)
            return self.batches.gives_results(batch)

        register = _Register(self, look, report, gives_results)

        def stored_among(names: Sequence[str]) -> set[str]:
            looks.hold(look)
            return find_stored(self.storage, names)

        def get_batch(name: str) -> Batch:
            looks.hold(look)
            return running.see(self.batches.get(name))

        listed = register.watch(_holding(running.watch(self._listed()), lambda: looks.hold(look)))
        since = None if look.complete_ms is None else moment(look.complete_ms / 1000 - OVERLAP_S)
        report.tally = replay(
            listed, get_batch, stored_among, register.admit, register.window(since)
        )
        running.note(
            self.client, self.batches.project, look.began_ms, self.interval_s, self.targets
        )
        return report

    def _listed(self) -> Iterator[Batch | Unread]:
        for batch in self.batches.list():
            self.heard(1)
            yield batch


class _Register:
    """Judges the batches of one look against the inbox."""

    def __init__(
        self,
        parts: Reconciliation,
        look: ReconcileRun,
        report: ReconcileReport,
        gives_results: Callable[[Batch], bool | None],
    ) -> None:
        self._client, self._look, self._report = parts.client, look, report
        self._gives_results = gives_results
        self._inbox, self._bell = Inbox(parts.client), JobQueue(parts.client)
        backlog = InboxQueries(parts.client)
        self._unsettled = backlog.unsettled()
        self._passing = self._find_passing(backlog.names("buried", parts.batches.project))
        grace_s = min(GRACE_S, parts.interval_s / 2)
        began_s = look.began_ms / 1000
        self._fresh_from = moment(began_s - grace_s)
        self._first = moment(look.first_ms / 1000)
        self._expiring = Window(moment(began_s - EXPIRED_S), moment(began_s - EXPIRING_S))

    def _find_passing(self, buried: Sequence[str]) -> frozenset[str]:
        """Those that were buried for something that may have passed."""
        groups = (buried[start : start + TOGETHER] for start in range(0, len(buried), TOGETHER))
        entries = (entry for group in groups for entry in self._inbox.entries(group).values())
        return frozenset(entry.batch for entry in entries if may_pass(entry))

    def window(self, since: str | None) -> Window:
        """What ended since then; at any time, what the last look was unsure of and what may be opened again."""
        return Window(since=since, also=self._passing | self._look.unclear)

    def watch(self, listed: Iterable[Batch | Unread]) -> Iterator[Batch | Unread]:
        """The list as it is; owed and buried batches on it are looked at whenever they ended."""
        for batch in listed:
            if isinstance(batch, Batch) and batch.name in self._unsettled:
                self._note_expiring(batch)
            yield batch

    def admit(self, batches: Sequence[Batch]) -> list[Verdict]:
        known = self._inbox.entries(batch.name for batch in batches)
        judged = {batch.name: self._judge(batch, known.get(batch.name)) for batch in batches}
        fresh = [
            batch
            for batch in batches
            if judged[batch.name] == "queued" and batch.name not in self._passing
        ]
        gone = find_expired(fresh, self._gives_results, self._look.began_ms / 1000)
        verdicts: list[Verdict] = [
            "expired" if one.name in gone else judged[one.name] for one in batches
        ]
        wanted = [
            batch for batch, verdict in zip(batches, verdicts, strict=True) if verdict == "queued"
        ]
        arrivals = [self._arrival(batch) for batch in wanted]
        opened = [
            one for one, is_new in zip(wanted, self._inbox.accept(arrivals), strict=True) if is_new
        ]
        missed = [one.name for one in opened if one.name not in known and self._is_missed(one)]
        self._report.missed += missed
        self._report.reopened += [one.name for one in opened if one.name in self._passing]
        self._count(len(missed))
        self._bell.ring(one.name for one in opened)
        for batch, verdict in zip(batches, verdicts, strict=True):
            if verdict != "expired":
                self._note_expiring(batch)
        return verdicts

    def _arrival(self, batch: Batch) -> Arrival:
        reopen: Reopen = "all" if batch.name in self._passing else "done"
        return Arrival(batch.name, f"batch.{batch.state.lower()}", "reconcile", reopen=reopen)

    def _judge(self, batch: Batch, entry: Entry | None) -> Verdict:
        if entry is not None and entry.state == "buried":
            return "queued" if may_pass(entry) and self._gives_results(batch) else "buried"
        if entry is not None and entry.state != "done":
            return "owed"
        if entry is not None and entry.summary.expired:
            return "expired"
        is_fresh = batch.ended is not None and batch.ended >= self._fresh_from
        # Before the first complete look nothing is known to be on its way: Redis may just have been wiped.
        return (
            "young"
            if entry is None and is_fresh and self._look.complete_ms is not None
            else "queued"
        )

    def _is_missed(self, batch: Batch) -> bool:
        return batch.ended is not None and self._first <= batch.ended < self._fresh_from

    def _count(self, missed: int) -> None:
        if missed:
            with translate_redis_errors("count missed webhooks"):
                self._client.hincrby(COUNTERS, MISSED, missed)

    def _note_expiring(self, batch: Batch) -> None:
        is_noted = batch.name in self._report.expiring
        if batch.is_terminal and batch.ended and self._expiring.holds(batch) and not is_noted:
            self._report.expiring.append(batch.name)


def _holding(
    listed: Iterable[Batch | Unread], hold: Callable[[], None]
) -> Iterator[Batch | Unread]:
    for number, batch in enumerate(listed):
        if number % 100 == 0:
            hold()
        yield batch


def _tell(report: ReconcileReport, project: str) -> None:
    tally = report.tally
    about: dict[str, object] = {"project": project} if project else {}
    about |= {
        "found": tally.found,
        "stored": tally.stored,
        "queued": len(tally.queued),
        "missed": len(report.missed),
    }
    log.info("reconcile.done", extra=about | {"unclear": len(tally.unclear)})
    if report.missed:
        log.warning("reconcile.missed", extra=_named(report.missed))
    if report.expiring:
        hint = "Gemini does not say how long it keeps results, about two days by reports: see `events list`"
        log.warning("reconcile.expiring", extra=_named(report.expiring) | {"hint": hint})
    if report.reopened:
        log.info("reconcile.reopened", extra=_named(report.reopened))
    if tally.expired:
        log.info(
            "reconcile.expired", extra=_named(tally.expired) | {"ended_before_s": RESULTS_LIVE_S}
        )
    if tally.unclear:
        log.warning(
            "reconcile.unclear", extra=_named(tally.unclear) | {"causes": tally.reasons[:MAX_NAMED]}
        )


def _named(batches: Sequence[str]) -> dict[str, object]:
    return {"batches": len(batches), "names": " ".join(batches[:MAX_NAMED])}
