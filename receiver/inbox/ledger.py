"""The inbox: the ledger in Redis of the batches to store.

One entry per batch of a project (`gbr:entry:<name>`, where `str(BatchName(…))` is the name),
whatever the source of its event. `gbr:due` orders open and leased entries by the time at which a
worker should take them: when postponed work is due, or when a lease runs out. Every step is one
Lua script by Redis' clock.

Keys without a TTL, each bounded by what is pending or by a fixed length (a test holds the list):
* ours: open and leased entries, `gbr:due`, both of submissions too (`gbr:submissions:entry:<name>`,
  `gbr:submissions:due`), `gbr:fence` (a number), `gbr:deliveries` and
  `gbr:refusals` (about a thousand rows each), `gbr:counters` and `gbr:reconcile` (a few fields),
  `gbr:reconcile:<project>` (likewise), `gbr:metrics` (a field per series of `/metrics`),
  `gbr:paused` (a field per project that a person has paused);
* RQ's: `rq:queues`, `rq:workers`, `rq:workers:gemini-batches` (names), and for the queue
  `gemini-batches` the ids of the jobs that wait (`rq:queue:…`, `…:intermediate`) and of those
  that run or ended (`rq:wip:…`, `rq:failed:…`); the hash `rq:job:<id>` of a job while it runs;
  the ids of the jobs that wait in the queues of `rq://` targets, which nobody but their workers
  empties.
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
from receiver.inbox.entry_fields import JobProgress, Summary
from receiver.inbox.foreign import read_texts
from receiver.inbox.redis import (
    BATCHES,
    COUNTERS,
    LedgerKeys,
    Scripts,
    now_ms,
    translate_redis_errors,
)
from receiver.retry import NOTHING_YET, Counter, Past

Source = Literal["static", "dynamic", "replay", "reconcile", "retry", "again", "submit"]
Reopen = Literal["none", "done", "all"]
# What a worker records with an entry: what storing the batch cost (see `encode_cost`), or how far a
# submission is (see `Standing`).
Fact = Literal["cost", "standing"]

SCRIPTS = (
    "accept",
    "add_reading",
    "bury",
    "bury_by_hand",
    "claim",
    "due",
    "finish",
    "leave",
    "postpone",
    "purge",
    "record",
    "renew",
)
DELIVERY_TTL_S = 8 * 86400  # a day over the 7 that we promise
DONE_TTL_S = 8 * 86400
BURIED_TTL_S = 30 * 86400
LEASE_S = 12.0
LEAVE_S = 6.0  # what is left of the lease of a worker that was told to end: it has ended by then
ENQUEUE_GRACE_S = 5.0  # how long a job may wait for a worker before the sweep enqueues another
MAX_SCANNED = 1000  # by one sweep
MAX_ATTEMPTS = 5
MAX_WAITS = 1000  # of up to ten minutes: a week; Gemini says that a job lives for two days
# Where a batch is buried, and whose fault that is then.
LIMITS = {"attempts": (MAX_ATTEMPTS, "batch"), "waits": (MAX_WAITS, "outside")}
MAX_CAUSE = 2000  # characters


class Arrival(msgspec.Struct, frozen=True, array_like=True):
    """One event to record. The accept script takes its fields in this order."""

    batch: str  # its name in the inbox
    event: str  # "batch.succeeded", or what the source saw of the batch
    source: Source
    delivery_id: str = ""  # as `name_delivery` gives it; empty where there was no delivery
    metadata: str = ""  # the webhook's user metadata as a JSON object; empty where there is none
    reopen: Reopen = "none"  # which ended entries it opens again
    trace: str = ""  # the delivery's span, as `carry_trace` gives it; empty where not traced


@dataclass(frozen=True)
class Lease:
    """The right to work on a batch until it runs out."""

    batch: str  # its name in the inbox
    token: str  # fencing token: grows with every claim
    attempts: int  # errors and crashes so far
    waits: int  # times that Gemini was not ready
    metadata: dict[str, Any]  # the webhook's user metadata
    trace: str = ""  # of the delivery that opened the entry
    again: bool = False  # to be stored once more, though it may be stored
    past: Past = NOTHING_YET
    first_ms: int = 0  # when it was first accepted, in Unix time by Redis' clock


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _encode(value: msgspec.Struct) -> str:
    """JSON; in ASCII where a name holds what UTF-8 can't."""
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value))


def _encodable(cause: str) -> str:
    """A cause as Redis takes it: half a surrogate pair in an error must not keep a batch back."""
    return cause[:MAX_CAUSE].encode(errors="replace").decode()


def accept_args(arrivals: Sequence[Arrival]) -> list[float | bytes]:
    """What the accept script takes."""
    grace_ms = _milliseconds(ENQUEUE_GRACE_S)
    return [DELIVERY_TTL_S, grace_ms, MAX_LOGGED, msgspec.msgpack.encode(arrivals)]


def read_verdicts(answer: bytes) -> list[bool]:
    """What the accept script gives: True where an arrival opened an entry."""
    return [digit == ord("1") for digit in answer]


def _read_lease(batch: str, found: Sequence[Any]) -> Lease:
    token, attempts, waits, metadata, trace, outages, outage_ms, *rest = found
    refusals, refused_ms, first_ms, source = rest
    return Lease(
        batch,
        token.decode(),
        attempts,
        waits,
        msgspec.json.decode(metadata) if metadata else {},
        trace.decode(errors="replace"),
        again=source == b"again",
        past=Past(attempts, outages, outage_ms / 1000, refusals, refused_ms / 1000),
        first_ms=int(first_ms),
    )


def _require(is_ours: object, lease: Lease) -> None:
    if not is_ours:
        raise LeaseLostError(f"{lease.batch} is no longer ours")


class Inbox:
    """The ledger's operations. Each raises InboxUnavailableError when Redis can't be asked.

    The step that ends a batch also enqueues a notice of it for each of `targets` (digests).
    Submissions have a ledger of their own, in which what is said here of batches holds for them.
    """

    def __init__(
        self,
        client: "redis.Redis",
        targets: Sequence[str] = (),
        ledger: LedgerKeys = BATCHES,
    ) -> None:
        self._client, self._ledger = client, ledger
        self._run = Scripts(client, SCRIPTS, targets=targets, ledger=ledger).run

    def accept(self, arrivals: Sequence[Arrival]) -> list[bool]:
        """Record all arrivals in one atomic step. True where one opened an entry."""
        return read_verdicts(self._run("accept", *accept_args(arrivals)))

    def claim(self, batch: str, lease_s: float = LEASE_S, claim_id: str = "") -> Lease | None:
        """Take a due batch. None when it is not due, ended, unknown or held by someone else.

        A claim whose answer was lost may come again with its `claim_id`: it holds the batch still.
        """
        args = (batch, _milliseconds(lease_s), MAX_ATTEMPTS, BURIED_TTL_S, claim_id)
        found = self._run("claim", *args)
        return None if found is None else _read_lease(batch, found)

    def renew(
        self, lease: Lease, lease_s: float = LEASE_S, progress: JobProgress | None = None
    ) -> None:
        """Hold the batch longer, and say how far it is. Raises LeaseLostError."""
        encoded = _encode(progress) if progress else ""
        args = (lease.batch, lease.token, _milliseconds(lease_s), encoded)
        _require(self._run("renew", *args), lease)

    def record(self, lease: Lease, fact: Fact, text: str) -> None:
        """Keep a fact with the entry; the step that ends a batch counts its cost.

        Raises LeaseLostError.
        """
        _require(self._run("record", lease.batch, lease.token, fact, text), lease)

    def leave(self, lease: Lease) -> None:
        """Say that our worker was told to end: if it is killed, the lease runs out soon.

        That counts as no attempt. Raises LeaseLostError.
        """
        args = (lease.batch, lease.token, _milliseconds(LEAVE_S))
        _require(self._run("leave", *args), lease)

    def finish(
        self,
        lease: Lease,
        summary: Summary,
        notice: tuple[str, str] | None = None,
        submission: str = "",
    ) -> bool:
        """Mark the batch as stored, and enqueue a notice of this type with this JSON.

        The submission that sent it, by its name in the inbox, becomes due in the same step. False
        when the lease was lost, which harms nothing: the manifest is there.
        """
        return self._finish(lease, summary, "stored", "", submission, notice or ())

    def expire(self, lease: Lease, summary: Summary, cause: str, submission: str = "") -> bool:
        """End a batch whose results are gone for good, without a notice. False when it is lost.

        The submission that sent it becomes due, as in `finish`.
        """
        return self._finish(lease, summary, "expired", cause, submission)

    def keep(self, lease: Lease, summary: Summary, cause: str) -> bool:
        """Leave a batch as it was stored before: this cause forbids to store it again.

        False when it is lost.
        """
        return self._finish(lease, summary, "kept", cause)

    def _finish(  # noqa: PLR0913, PLR0917 - the arguments of the script
        self,
        lease: Lease,
        summary: Summary,
        result: str,
        cause: str,
        submission: str = "",
        notice: Sequence[str] = (),
    ) -> bool:
        args = (lease.batch, lease.token, _encode(summary), DONE_TTL_S, result, _encodable(cause))
        return bool(self._run("finish", *args, submission, *notice))

    def postpone(self, lease: Lease, delay_s: float, cause: str, counter: Counter) -> State:
        """Hand the batch back for later, and count why: see `receiver.retry`.

        At the limit of attempts or waits it is buried instead. Raises LeaseLostError.
        """
        return self._hand_back(lease, delay_s, cause, counter)

    def rest(self, lease: Lease, delay_s: float, cause: str) -> None:
        """Hand back what has done all that it can for now; what was counted so far is forgotten.

        Raises LeaseLostError.
        """
        self._hand_back(lease, delay_s, cause, "settled")

    def look_again(self, lease: Lease, delay_s: float, cause: str) -> None:
        """Hand it back for later, with nothing counted and nothing forgotten.

        Raises LeaseLostError.
        """
        self._hand_back(lease, delay_s, cause, "")

    def release(self, lease: Lease, cause: str) -> None:
        """Hand the batch back at once, with nothing counted: the worker is shutting down."""
        self._hand_back(lease, 0, cause, "")

    def _hand_back(self, lease: Lease, delay_s: float, cause: str, counter: str) -> State:
        limit, fault = LIMITS.get(counter, (0, ""))
        args = (_milliseconds(delay_s), _encodable(cause), counter, limit, BURIED_TTL_S, fault)
        state = self._run("postpone", lease.batch, lease.token, *args)
        _require(state != b"lost", lease)
        return "buried" if state == b"buried" else "open"

    def add_reading(self, lease: Lease, size_bytes: int, sha256: str) -> tuple[int, int, float]:
        """Remember a reading of the batch's results that is doubted, as long as the entry lives.

        Gives how many there were, how many of the latest had the same size and sha256 (hex), and
        the seconds since the first of those. Raises LeaseLostError.
        """
        found = self._run("add_reading", lease.batch, lease.token, f"{size_bytes} {sha256}")
        _require(found is not None, lease)
        readings, same, same_ms = found
        return readings, same, same_ms / 1000

    def bury(self, lease: Lease, cause: str, fault: Fault = "batch", submission: str = "") -> None:
        """End the batch for a person to look at. Raises LeaseLostError.

        `submission` becomes due, as in `finish`.
        """
        args = (lease.batch, lease.token, _encodable(cause), BURIED_TTL_S, fault, submission)
        _require(self._run("bury", *args), lease)

    def bury_by_hand(self, batches: Sequence[str], cause: str) -> list[str]:
        """Bury these batches so that no reconcile run opens them; who held one has lost it.

        Gives those that a person had not buried before.
        """
        return read_texts(self._run("bury_by_hand", _encodable(cause), BURIED_TTL_S, *batches))

    def take_due(self, most: int = MAX_SCANNED) -> list[str]:
        """Due batches without a job in the last ENQUEUE_GRACE_S; they count as enqueued from now.

        At most `most`, of the MAX_SCANNED that have been due for longest.
        """
        grace_ms = _milliseconds(ENQUEUE_GRACE_S)
        return read_texts(self._run("due", most, grace_ms, DONE_TTL_S, BURIED_TTL_S, MAX_SCANNED))

    def purge(self, batches: Sequence[str]) -> list[str]:
        """Forget these batches, even one that is being worked on. Gives those that were known."""
        return read_texts(self._run("purge", *batches))

    def has_due(self) -> bool:
        """Whether anything is due now, enqueued or not."""
        with translate_redis_errors():
            return bool(self._client.zcount(self._ledger.due, "-inf", now_ms(self._client)))

    def increment(self, counter: str) -> None:
        """Add one to a counter."""
        with translate_redis_errors(f"count {counter}"):
            self._client.hincrby(COUNTERS, counter, 1)

    def entries(self, batches: Iterable[str]) -> dict[str, Entry]:
        """What the inbox knows of these batches; unknown ones are left out."""
        return fetch_entries(self._client, batches, self._ledger)
