"""The inbox: the ledger in Redis of the batches that we owe someone.

One entry a batch of a project (`gbr:entry:<name>`, the name as `inbox_names` gives it), whatever the source
of its event. `gbr:due` orders open and leased entries by the moment somebody should look at them again: when postponed work
is due, or when a lease runs out. Every step is one Lua script on Redis' own clock.

Keys without a TTL, each bounded by what is owed or by a fixed length (a test holds the list):
* ours: open and leased entries, `gbr:due`, `gbr:fence` (a number), `gbr:deliveries` and `gbr:refusals` (about a
  thousand rows each), `gbr:counters` and `gbr:reconcile` (a few fields), `gbr:reconcile:<project>` (likewise),
  `gbr:metrics` (a field for each series that `/metrics` shows);
* RQ's: `rq:queues`, `rq:workers`, `rq:workers:gemini-batches` (names), and for the queue `gemini-batches` the ids of
  the jobs that wait (`rq:queue:…`, `…:intermediate`) and of those that run or ended (`rq:wip:…`, `rq:failed:…`); the
  hash `rq:job:<id>` of a job while it runs.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import redis

from receiver.errors import Fault, LeaseLostError
from receiver.inbox.delivery_log import MAX_LOGGED
from receiver.inbox.entries import Entry, State, fetch_entries
from receiver.inbox.foreign import read_texts
from receiver.inbox.progress import JobProgress
from receiver.inbox.redis import COUNTERS, DUE, now_ms, translate_redis_errors
from receiver.inbox.scripts import Scripts
from receiver.inbox.summaries import Summary
from receiver.retry import NOTHING_YET, Counter, Past

Source = Literal["static", "dynamic", "replay", "reconcile", "retry", "again"]
Reopen = Literal["none", "done", "all"]

SCRIPTS = (
    *(
        "accept",
        "claim",
        "renew",
        "leave",
        "finish",
        "let_go",
        "postpone",
        "bury",
        "bury_by_hand",
        "due",
        "purge",
    ),
    "add_reading",
)
DELIVERY_TTL_S = 8 * 86400  # a day over the 7 that we promise
DONE_TTL_S = 8 * 86400
BURIED_TTL_S = 30 * 86400
LEASE_S = 12.0
LEAVE_S = 6.0  # what is left of the lease of a worker that was told to end: it is out by then
ENQUEUE_GRACE_S = 5.0  # how long a rung batch may wait for a worker before the sweep rings again
MAX_ATTEMPTS = 5
MAX_SCANNED = 1000  # by one sweep
MAX_WAITS = (
    1000  # at up to ten minutes each: a week; Gemini lets a job live for two days, as it says
)
LIMITS = {
    "attempts": (MAX_ATTEMPTS, "batch"),
    "waits": (MAX_WAITS, "outside"),
}  # and whose fault it is then
MAX_CAUSE = 2000


@dataclass(frozen=True)
class Arrival:
    """One event to record."""

    batch: (
        str  # its name in the inbox: "batches/<id>", or "acme/batches/<id>" of the project `acme`
    )
    event: str  # "batch.succeeded", or what the source saw of the batch
    source: Source
    delivery_id: str = (
        ""  # as `deliveries.name_delivery` gives it; empty where there was no delivery
    )
    metadata: str = ""  # the webhook's user metadata as a JSON object; empty where there is none
    reopen: Reopen = "none"  # which ended entries it opens again
    trace: str = (
        ""  # the delivery's span, as `tracing.carry_trace` gives it; empty where nothing is traced
    )


@dataclass(frozen=True)
class Lease:
    """The right to work on a batch until it runs out."""

    batch: str  # its name in the inbox
    token: str  # fencing token: grows with every claim
    attempts: int  # errors and crashes so far
    waits: int  # times that Gemini was not ready
    metadata: dict[str, Any]  # the webhook's user metadata
    trace: str = ""  # of the delivery that opened the entry
    again: bool = False  # somebody wants it stored once more, though it may be stored
    past: Past = NOTHING_YET
    first_ms: int = (
        0  # when the batch was accepted for the first time, in Unix time by Redis' clock
    )


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _encode(told: msgspec.Struct) -> str:
    """JSON; in ASCII where a name holds what UTF-8 can't."""
    try:
        return msgspec.json.encode(told).decode()
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(told))


def _encodable(cause: str) -> str:
    """A cause as Redis takes it: half a surrogate pair in somebody's error must not keep a batch from its end."""
    return cause[:MAX_CAUSE].encode(errors="replace").decode()


def accept_args(arrivals: Sequence[Arrival]) -> list[str | float]:
    """What the accept script takes."""
    args: list[str | float] = [DELIVERY_TTL_S, _milliseconds(ENQUEUE_GRACE_S), MAX_LOGGED]
    for one in arrivals:
        args += [
            one.batch,
            one.delivery_id,
            one.event,
            one.source,
            one.metadata,
            one.reopen,
            one.trace,
        ]
    return args


def read_verdicts(answer: Sequence[bytes]) -> list[bool]:
    """What the accept script gives: True where an arrival opened an entry."""
    return [verdict == b"accepted" for verdict in answer]


class Inbox:
    """The ledger's operations. Each raises InboxUnavailableError when Redis can't be asked.

    The step that ends a batch also owes a notice of it to each of `targets` (digests).
    """

    def __init__(self, client: "redis.Redis", targets: Sequence[str] = ()) -> None:
        self._client = client
        self._run = Scripts(client, SCRIPTS, targets=targets).run

    def accept(self, arrivals: Sequence[Arrival]) -> list[bool]:
        """Record all arrivals in one atomic step. True where one opened an entry, False where it was known."""
        return read_verdicts(self._run("accept", *accept_args(arrivals)))

    def claim(self, batch: str, lease_s: float = LEASE_S) -> Lease | None:
        """Take a due batch. None when it is not due, ended, unknown or held by someone else."""
        found = self._run("claim", batch, _milliseconds(lease_s), MAX_ATTEMPTS, BURIED_TTL_S)
        if found is None:
            return None
        (
            token,
            attempts,
            waits,
            metadata,
            trace,
            outages,
            outage_ms,
            refusals,
            refused_ms,
            first,
            source,
        ) = found
        known = msgspec.json.decode(metadata) if metadata else {}
        return Lease(
            batch,
            token.decode(),
            attempts,
            waits,
            known,
            trace.decode(errors="replace"),
            again=source == b"again",
            past=Past(attempts, outages, outage_ms / 1000, refusals, refused_ms / 1000),
            first_ms=int(first),
        )

    def renew(
        self, lease: Lease, lease_s: float = LEASE_S, progress: JobProgress | None = None
    ) -> None:
        """Hold the batch longer, and say how far it is. Raises LeaseLostError when it is no longer ours."""
        told = _encode(progress) if progress else ""
        if not self._run("renew", lease.batch, lease.token, _milliseconds(lease_s), told):
            raise LeaseLostError(f"{lease.batch} is no longer ours")

    def leave(self, lease: Lease) -> None:
        """Say that our worker was told to end: should it be killed first, the lease runs out soon, and counts nothing.

        Raises LeaseLostError when the batch is no longer ours.
        """
        if not self._run("leave", lease.batch, lease.token, _milliseconds(LEAVE_S)):
            raise LeaseLostError(f"{lease.batch} is no longer ours")

    def finish(self, lease: Lease, summary: Summary, notice: tuple[str, str] | None = None) -> bool:
        """Mark the batch as stored, and owe a notice of this type with this JSON.

        False when the lease was lost, which harms nothing: the manifest is there.
        """
        return bool(
            self._run(
                "finish", lease.batch, lease.token, _encode(summary), DONE_TTL_S, *(notice or ())
            )
        )

    def expire(self, lease: Lease, summary: Summary, cause: str) -> bool:
        """Let a batch go whose results are gone for good: it is done, and nobody is told. False when it is lost."""
        return self._let_go(lease, summary, cause, "expired")

    def keep(self, lease: Lease, summary: Summary, cause: str) -> bool:
        """Leave a batch as it was stored before: it can't be stored again for this cause. False when it is lost."""
        return self._let_go(lease, summary, cause, "kept")

    def _let_go(self, lease: Lease, summary: Summary, cause: str, step: str) -> bool:
        args = (lease.batch, lease.token, _encode(summary), _encodable(cause), DONE_TTL_S, step)
        return bool(self._run("let_go", *args))

    def postpone(self, lease: Lease, delay_s: float, cause: str, counter: Counter) -> State:
        """Hand the batch back for later, and count why: see `receiver.retry`.

        At the limit of attempts or waits it is buried instead. Raises LeaseLostError when it is no longer ours.
        """
        return self._hand_back(lease, delay_s, cause, counter)

    def add_reading(self, lease: Lease, size_bytes: int, sha256: str) -> tuple[int, int, float]:
        """Remember a reading of the batch's results that is doubted, for as long as the entry lives.

        Gives how many there were, how many of the latest had the same size and sha256 (hex), and the seconds since the
        first of those. Raises LeaseLostError when the batch is no longer ours.
        """
        found = self._run("add_reading", lease.batch, lease.token, f"{size_bytes} {sha256}")
        if found is None:
            raise LeaseLostError(f"{lease.batch} is no longer ours")
        readings, same, same_ms = found
        return readings, same, same_ms / 1000

    def release(self, lease: Lease, cause: str) -> None:
        """Hand the batch back at once, with nothing counted: the worker is shutting down."""
        self._hand_back(lease, 0, cause, "")

    def _hand_back(self, lease: Lease, delay_s: float, cause: str, counter: str) -> State:
        limit, fault = LIMITS.get(counter, (0, ""))
        args = (
            lease.batch,
            lease.token,
            _milliseconds(delay_s),
            _encodable(cause),
            counter,
            limit,
            BURIED_TTL_S,
        )
        state: str = self._run("postpone", *args, fault).decode()
        if state == "lost":
            raise LeaseLostError(f"{lease.batch} is no longer ours")
        return "buried" if state == "buried" else "open"

    def bury(self, lease: Lease, cause: str, fault: Fault = "batch") -> None:
        """Give the batch up for a person to look at. Raises LeaseLostError when it is no longer ours."""
        if not self._run("bury", lease.batch, lease.token, _encodable(cause), BURIED_TTL_S, fault):
            raise LeaseLostError(f"{lease.batch} is no longer ours")

    def bury_by_hand(self, batches: Sequence[str], cause: str) -> list[str]:
        """Bury these batches by hand: no reconcile run opens them. Gives those that it was news for.

        Whoever held one has lost it.
        """
        return read_texts(self._run("bury_by_hand", _encodable(cause), BURIED_TTL_S, *batches))

    def take_due(self, most: int = MAX_SCANNED) -> list[str]:
        """Batches that are due and were not rung in the last RING_GRACE_S; they count as rung from now on.

        At most `most`, among the MOST_LOOKED_AT that have been due for longest.
        """
        args = (most, _milliseconds(ENQUEUE_GRACE_S), DONE_TTL_S, BURIED_TTL_S, MAX_SCANNED)
        return read_texts(self._run("due", *args))

    def purge(self, batches: Sequence[str]) -> list[str]:
        """Forget these batches, even one that is being worked on. Gives those that were known."""
        return read_texts(self._run("purge", *batches))

    def has_due(self) -> bool:
        """Whether anything is due now, enqueued or not."""
        with translate_redis_errors():
            return bool(self._client.zcount(DUE, "-inf", now_ms(self._client)))

    def count(self, name: str) -> None:
        """Add one to a counter."""
        with translate_redis_errors(f"count {name}"):
            self._client.hincrby(COUNTERS, name, 1)

    def entries(self, batches: Iterable[str]) -> dict[str, Entry]:
        """What the inbox knows of these batches; unknown ones are left out."""
        return fetch_entries(self._client, batches)
