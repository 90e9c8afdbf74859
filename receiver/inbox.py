"""The inbox: the ledger in Redis of the batches that we owe someone.

One entry a batch (`gbr:entry:<batch>`), whichever door it came through. `gbr:due` orders open and leased entries by the
moment somebody should look at them again: when postponed work is due, or when a lease runs out. Every step is one Lua
script on Redis' own clock. Entries without a TTL: open and leased ones, `gbr:due`, `gbr:buried`, `gbr:fence`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from receiver.errors import InboxUnavailableError, LeaseLostError

Door = Literal["static", "dynamic", "replay", "retry"]
Reopen = Literal["none", "done", "all"]
State = Literal["open", "leased", "done", "buried"]

DUE, BURIED, FENCE, ENTRY = "gbr:due", "gbr:buried", "gbr:fence", "gbr:entry:"
DELIVERY_TTL_S = 8 * 86400  # a day over the 7 that we promise
DONE_TTL_S = 8 * 86400
BURIED_TTL_S = 30 * 86400
LEASE_S = 12.0
RING_GRACE_S = 5.0  # how long a rung batch may wait for a worker before the sweep rings again
MAX_ATTEMPTS = 5
MAX_WAITS = 300  # at up to ten minutes each: two days, as long as Gemini lets a job live
MAX_CAUSE = 2000
REDIS_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Arrival:
    """What one door hands in."""

    batch: str  # "batches/<id>"
    event: str  # "batch.succeeded", or what the door saw
    door: Door
    delivery_id: str = ""  # webhook-id; empty where there was no delivery
    metadata: str = ""  # the webhook's user metadata as a JSON object; empty where there is none
    reopen: Reopen = "none"  # which ended entries it opens again


@dataclass(frozen=True)
class Lease:
    """The right to work on a batch until it runs out."""

    batch: str
    token: str  # fencing token: grows with every claim
    attempts: int  # errors and crashes so far
    waits: int  # times that Gemini was not ready
    metadata: dict[str, Any]  # the webhook's user metadata


@dataclass(frozen=True)
class Entry:
    """What the inbox knows of a batch."""

    batch: str
    state: State
    event: str
    door: str
    attempts: int
    waits: int
    accepted_ms: int  # Unix time by Redis' clock
    changed_ms: int
    cause: str  # why it was postponed or buried
    summary: dict[str, Any]  # outcome counts of a finished batch


def connect(url: str, timeout_s: float = REDIS_TIMEOUT_S) -> "redis.Redis":
    """A client that fails within seconds instead of waiting: whoever calls knows better when to try again."""
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


class Inbox:
    """The ledger's operations. Each raises InboxUnavailableError when Redis can't be asked."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        folder = resources.files("receiver") / "lua"
        prelude = (folder / "prelude.lua").read_text()
        self._scripts = {
            name: client.register_script(prelude + (folder / f"{name}.lua").read_text())
            for name in ("accept", "claim", "renew", "finish", "postpone", "bury", "due")
        }

    def _run(self, script: str, *args: str | float) -> Any:
        try:
            return self._scripts[script](keys=[DUE, BURIED, FENCE], args=args)
        except redis.RedisError as error:
            raise InboxUnavailableError(f"Redis did not {script}: {error}") from error

    def accept(self, arrivals: Sequence[Arrival]) -> list[bool]:
        """Record all arrivals in one atomic step. True where one opened an entry, False where it was known."""
        args: list[str | float] = [DELIVERY_TTL_S, _milliseconds(RING_GRACE_S)]
        for one in arrivals:
            args += [one.batch, one.delivery_id, one.event, one.door, one.metadata, one.reopen]
        return [verdict == b"accepted" for verdict in self._run("accept", *args)]

    def claim(self, batch: str, lease_s: float = LEASE_S) -> Lease | None:
        """Take a due batch. None when it is not due, ended, unknown or held by someone else."""
        found = self._run("claim", batch, _milliseconds(lease_s), MAX_ATTEMPTS, BURIED_TTL_S)
        if found is None:
            return None
        token, attempts, waits, metadata = found
        return Lease(batch, token.decode(), attempts, waits, msgspec.json.decode(metadata) if metadata else {})

    def renew(self, lease: Lease, lease_s: float = LEASE_S) -> None:
        """Hold the batch longer. Raises LeaseLostError when it is no longer ours."""
        if not self._run("renew", lease.batch, lease.token, _milliseconds(lease_s)):
            raise LeaseLostError(f"{lease.batch} is no longer ours")

    def finish(self, lease: Lease, summary: dict[str, Any]) -> bool:
        """Mark the batch as stored. False when the lease was lost, which harms nothing: the manifest is there."""
        args = (lease.batch, lease.token, msgspec.json.encode(summary).decode(), DONE_TTL_S)
        return bool(self._run("finish", *args))

    def postpone(self, lease: Lease, delay_s: float, cause: str, counter: Literal["attempts", "waits"]) -> State:
        """Hand the batch back for later: `attempts` counts errors, `waits` Gemini's not being ready.

        At the counter's limit the batch is buried instead. Raises LeaseLostError when it is no longer ours.
        """
        limit = MAX_ATTEMPTS if counter == "attempts" else MAX_WAITS
        return self._hand_back(lease, delay_s, cause, counter, limit)

    def release(self, lease: Lease, cause: str) -> None:
        """Hand the batch back at once, with nothing counted: the worker is shutting down."""
        self._hand_back(lease, 0, cause, "", 0)

    def _hand_back(self, lease: Lease, delay_s: float, cause: str, counter: str, limit: int) -> State:
        args = (lease.batch, lease.token, _milliseconds(delay_s), cause[:MAX_CAUSE], counter, limit, BURIED_TTL_S)
        state: str = self._run("postpone", *args).decode()
        if state == "lost":
            raise LeaseLostError(f"{lease.batch} is no longer ours")
        return "buried" if state == "buried" else "open"

    def bury(self, lease: Lease, cause: str) -> None:
        """Give the batch up for a person to look at. Raises LeaseLostError when it is no longer ours."""
        if not self._run("bury", lease.batch, lease.token, cause[:MAX_CAUSE], BURIED_TTL_S):
            raise LeaseLostError(f"{lease.batch} is no longer ours")

    def take_due(self, most: int = 1000) -> list[str]:
        """Batches that are due and were not rung in the last RING_GRACE_S; they count as rung from now on."""
        return [batch.decode() for batch in self._run("due", most, _milliseconds(RING_GRACE_S))]

    def has_due(self) -> bool:
        """Whether anything is due now, rung or not."""
        try:
            seconds, microseconds = self._client.time()
            now = seconds * 1000 + microseconds // 1000
            return bool(self._client.zcount(DUE, "-inf", now))
        except redis.RedisError as error:
            raise InboxUnavailableError(f"Redis did not answer: {error}") from error

    def ping(self) -> None:
        """Raises InboxUnavailableError unless Redis answers."""
        try:
            self._client.ping()
        except redis.RedisError as error:
            raise InboxUnavailableError(f"Redis did not answer: {error}") from error

    def entries(self, batches: Iterable[str]) -> dict[str, Entry]:
        """What the inbox knows of these batches; unknown ones are left out."""
        names = list(batches)
        try:
            pipeline = self._client.pipeline(transaction=False)
            for name in names:
                pipeline.hgetall(ENTRY + name)
            rows = pipeline.execute()
        except redis.RedisError as error:
            raise InboxUnavailableError(f"Redis did not answer: {error}") from error
        return {name: _read_entry(name, row) for name, row in zip(names, rows, strict=True) if row}


def _read_entry(batch: str, row: dict[bytes, bytes]) -> Entry:
    fields = {name.decode(): value.decode() for name, value in row.items()}
    return Entry(
        batch=batch,
        state=msgspec.convert(fields["state"], State),
        event=fields["event"],
        door=fields["door"],
        attempts=int(fields["attempts"]),
        waits=int(fields["waits"]),
        accepted_ms=int(fields["accepted"]),
        changed_ms=int(fields["changed"]),
        cause=fields.get("cause", ""),
        summary=msgspec.json.decode(fields.get("summary", "{}")),
    )
