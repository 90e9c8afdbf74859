"""Reconcile: looks at a project's whole list, so that a callback that never comes costs minutes, not the batch."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import redis

from receiver.bell import Bell
from receiver.errors import InboxUnavailableError, ReceiverError
from receiver.gemini.client import Batch
from receiver.inbox.backlog import Backlog
from receiver.inbox.entries import Entry
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.scripts import COUNTERS
from receiver.looks import Look, Looks
from receiver.project_batches import ProjectBatches
from receiver.replay import Tally, Verdict, Window, find_stored, replay
from receiver.running_batches import RunningWatch
from receiver.storage import Storage

MISSED = "missed_webhooks"  # a field of COUNTERS
OVERLAP_S = 3600.0  # the list may show an end late
GRACE_S = 120.0  # within it a callback is not missed but on its way
EXPIRING_S = 36 * 3600.0  # results are kept for at least 48 hours
EXPIRED_S = 72 * 3600.0  # a warning has nothing left to save
MOST_NAMED = 20
log = logging.getLogger(__name__)


@dataclass
class Report:
    """What a look saw; batches go by their names in the inbox."""

    tally: Tally = field(default_factory=Tally)
    missed: list[str] = field(default_factory=list)  # queued now; they ended long ago and no callback ever came
    expiring: list[str] = field(default_factory=list)  # not stored, and their results will be gone soon


@dataclass(frozen=True)
class Reconciliation:
    """One look's parts. `run` makes the look."""

    client: "redis.Redis"
    batches: ProjectBatches
    storage: Storage
    interval_s: float
    heard: Callable[[int], None] = lambda _: None  # how many more batches of the list were seen
    targets: Sequence[str] = ()  # digests of whom to tell of overdue batches

    def run(self, *, even_early: bool) -> Report | None:
        """Look when it is our turn; None when it is early.

        Raises LookHeldError when another process is looking, and the errors of Gemini, the storage and Redis: after one
        the next look starts from where this one did.
        """
        looks = Looks(self.client, self.interval_s, self.batches.project)
        look = looks.take(even_early=even_early)
        if look is None:
            return None
        try:
            report = self._look(looks, look)
        except ReceiverError:
            with suppress(InboxUnavailableError):  # the turn runs out by itself
                looks.end(look, "failed")
            raise
        looks.end(look, "unclear" if report.tally.unclear else "complete")
        _tell(report, self.batches.project)
        return report

    def _look(self, looks: Looks, look: Look) -> Report:
        report, running = Report(), RunningWatch()
        register = _Register(self, look, report)

        def stored_among(names: Sequence[str]) -> set[str]:
            looks.hold(look)
            return find_stored(self.storage, names)

        def get_batch(name: str) -> Batch:
            looks.hold(look)
            return running.see(self.batches.get(name))

        listed = register.watch(_holding(running.watch(self._listed()), lambda: looks.hold(look)))
        since = None if look.complete_ms is None else _moment(look.complete_ms - OVERLAP_S * 1000)
        report.tally = replay(listed, get_batch, stored_among, register.admit, Window(since=since))
        running.note(self.client, self.batches.project, look.began_ms, self.interval_s, self.targets)
        return report

    def _listed(self) -> Iterator[Batch]:
        for batch in self.batches.list():
            self.heard(1)
            yield batch


class _Register:
    """Judges the batches of one look against the inbox."""

    def __init__(self, parts: Reconciliation, look: Look, report: Report) -> None:
        self._client, self._look, self._report = parts.client, look, report
        self._inbox, self._bell = Inbox(parts.client), Bell(parts.client)
        self._unsettled = Backlog(parts.client).unsettled()
        grace_s = min(GRACE_S, parts.interval_s / 2)
        self._fresh_from = _moment(look.began_ms - grace_s * 1000)
        self._first = _moment(look.first_ms)
        self._expiring = Window(_moment(look.began_ms - EXPIRED_S * 1000), _moment(look.began_ms - EXPIRING_S * 1000))

    def watch(self, listed: Iterable[Batch]) -> Iterator[Batch]:
        """The list as it is; owed and buried batches on it are looked at whenever they ended."""
        for batch in listed:
            if batch.name in self._unsettled:
                self._note_expiring(batch)
            yield batch

    def admit(self, batches: Sequence[Batch]) -> list[Verdict]:
        known = self._inbox.entries(batch.name for batch in batches)
        verdicts = [self._judge(batch, known.get(batch.name)) for batch in batches]
        wanted = [batch for batch, verdict in zip(batches, verdicts, strict=True) if verdict == "queued"]
        arrivals = [Arrival(one.name, f"batch.{one.state.lower()}", "reconcile", reopen="done") for one in wanted]
        opened = [one for one, is_new in zip(wanted, self._inbox.accept(arrivals), strict=True) if is_new]
        missed = [one.name for one in opened if one.name not in known and self._is_missed(one)]
        self._report.missed += missed
        self._count(len(missed))
        self._bell.ring(one.name for one in opened)
        for batch in batches:
            self._note_expiring(batch)
        return verdicts

    def _judge(self, batch: Batch, entry: Entry | None) -> Verdict:
        if entry is not None and entry.state == "buried":
            return "buried"
        if entry is not None and entry.state != "done":
            return "owed"
        is_fresh = batch.ended is not None and batch.ended >= self._fresh_from
        # Before the first complete look nothing is known to be on its way: Redis may just have been wiped.
        return "young" if entry is None and is_fresh and self._look.complete_ms is not None else "queued"

    def _is_missed(self, batch: Batch) -> bool:
        return batch.ended is not None and self._first <= batch.ended < self._fresh_from

    def _count(self, missed: int) -> None:
        if missed:
            try:
                self._client.hincrby(COUNTERS, MISSED, missed)
            except redis.RedisError as error:
                raise InboxUnavailableError(f"Redis did not count: {error}") from error

    def _note_expiring(self, batch: Batch) -> None:
        is_noted = batch.name in self._report.expiring
        if batch.is_terminal and batch.ended and self._expiring.holds(batch) and not is_noted:
            self._report.expiring.append(batch.name)


def _holding(listed: Iterable[Batch], hold: Callable[[], None]) -> Iterator[Batch]:
    for number, batch in enumerate(listed):
        if number % 100 == 0:
            hold()
        yield batch


def _moment(ms: float) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def _tell(report: Report, project: str) -> None:
    tally = report.tally
    about: dict[str, object] = {"project": project} if project else {}
    about |= {"found": tally.found, "stored": tally.stored, "queued": len(tally.queued), "missed": len(report.missed)}
    log.info("reconcile.done", extra=about | {"unclear": len(tally.unclear)})
    if report.missed:
        log.warning("reconcile.missed", extra=_named(report.missed))
    if report.expiring:
        hint = "Gemini keeps results for 48 hours: see `gemini-batch-receiver events list`"
        log.warning("reconcile.expiring", extra=_named(report.expiring) | {"hint": hint})
    if tally.unclear:
        log.warning("reconcile.unclear", extra=_named(tally.unclear))


def _named(batches: Sequence[str]) -> dict[str, object]:
    return {"batches": len(batches), "names": " ".join(batches[:MOST_NAMED])}
