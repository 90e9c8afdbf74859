"""How much Gemini takes of a project now: enqueued tokens of a model, batches, and files.

The books are a hash in Redis with a field for each batch. They are made from the storage's records
where they are missing, and anew every few hours, so that nothing in them stays wrong. They only set
the pace: where they are too low, Gemini refuses with 429, and the part waits.
"""

import time
from decimal import Decimal
from typing import Any

import msgspec
import redis

from receiver.batch_names import BatchName
from receiver.inbox.entries import fetch_entries
from receiver.inbox.foreign import read_or, read_text
from receiver.inbox.redis import (
    ENQUEUED,
    QUOTA_REFUSALS,
    now_ms,
    project_key,
    translate_redis_errors,
)
from receiver.notices.running_batches import read_running
from receiver.settings.settings import Settings
from receiver.storage import Storage
from receiver.submissions.daily_budget import DailyBudget, day_of, end_of_day
from receiver.submissions.state import Room
from receiver.submissions.submission import Part
from receiver.submissions.unended_batches import (
    FILE_TTL_S,
    EnqueuedBatch,
    created_name,
    find_unended,
    read_enqueued,
)
from receiver.tolerant_json import tolerant_reader

MAX_BATCHES = 100
MAX_FILE_BYTES = 20_000_000_000
FIRST_PAUSE_S, LONGEST_PAUSE_S = 60.0, 1800.0
BOOKS_TTL_S = 6 * 3600
REFUSALS_TTL_S = 86_400
_MADE = "made"  # the field that says that the books were made from the storage


class Refusals(msgspec.Struct, frozen=True):
    """How often Gemini refused a model in a row for lack of room."""

    count: int
    until: float  # Unix time in seconds: nothing is sent before


_read_refusals = tolerant_reader(Refusals)


class Quotas:
    """One project's books. Every call can raise InboxUnavailableError, `room` StorageError too."""

    def __init__(
        self, client: "redis.Redis", storage: Storage, settings: Settings, project: str
    ) -> None:
        self._client, self._storage, self._project = client, storage, project
        self._limits = settings.project(project).limits
        self._budget = DailyBudget(storage, project)
        self._books = project_key(ENQUEUED, project)
        self._refusals = project_key(QUOTA_REFUSALS, project)

    def room(self, model: str, submission_id: str, now: float) -> Room:
        """What may be sent of a submission now (Unix time in seconds).

        With nothing of the model under way, no number of tokens is too large to be tried: the part
        may be smaller than it was estimated.
        """
        batches = self._under_way(now)
        active = [one for one in batches.values() if not one.is_ended]
        enqueued = [one.tokens for one in active if one.model == _bare(model)]
        limit = self._limits.enqueue_limit(model)
        return Room(
            tokens=limit - sum(enqueued) if limit is not None and enqueued else None,
            batches=MAX_BATCHES - max(len(active), self._count_running()),
            file_bytes=MAX_FILE_BYTES - _file_bytes(batches, now),
            day_cap=self._limits.daily_cost_cap,
            day_budget=self._day_budget(submission_id, now),
            day_ends=end_of_day(now),
            refused_until=self._read_refusals(model).until,
        )

    def sent(self, batch: str, model: str, part: Part, now: float | None = None) -> None:
        """Gemini has taken a part as `batches/<id>`, after its record was written.

        Can be repeated.
        """
        at = time.time() if now is None else now
        one = EnqueuedBatch(_bare(model), part.tokens or 0, part.size_bytes, at)
        with translate_redis_errors():
            if self._client.hexists(self._books, _MADE):  # else they will be made with it
                self._client.hsetnx(self._books, batch, _encode(one))
            self._client.hdel(self._refusals, _bare(model))

    def ended(self, batch: str) -> None:
        """A batch does not run at Gemini any more; its file stays there for two days."""
        with translate_redis_errors():
            data: Any = self._client.hget(self._books, batch)
            one = read_enqueued(data)
            if one is not None:
                self._write({batch: msgspec.structs.replace(one, is_ended=True)})

    def refused(self, model: str, now: float, retry_after_s: float | None = None) -> float:
        """Gemini said 429: gives the Unix time before which nothing of the model is sent.

        Each refusal in a row doubles the pause, from a minute to half an hour. It lowers no limit:
        Gemini refuses at times though far less is enqueued than it allows.
        """
        before = self._read_refusals(model)
        if before.until > now:  # another part was refused at the same time
            return before.until
        pause_s = min(FIRST_PAUSE_S * 2 ** min(before.count, 10), LONGEST_PAUSE_S)
        refusals = Refusals(before.count + 1, now + max(pause_s, retry_after_s or 0.0))
        with translate_redis_errors():
            pipeline = self._client.pipeline()
            pipeline.hset(self._refusals, _bare(model), _encode(refusals))
            pipeline.expire(self._refusals, REFUSALS_TTL_S)
            pipeline.execute()
        return refusals.until

    def _under_way(self, now: float) -> dict[str, EnqueuedBatch]:
        """The batches that count, without those that have ended and whose files are gone."""
        with translate_redis_errors():
            books = self._read_books()
            if _MADE.encode() not in books:
                self._make_books(now)
                books = self._read_books()
            found = {read_text(name): read_enqueued(data) for name, data in books.items()}
            batches = {name: one for name, one in found.items() if name and one}
            batches |= self._mark_ended(batches)
            gone = [name for name, one in batches.items() if one.is_gone(now)]
            if gone:
                self._client.hdel(self._books, *gone)
        return {name: one for name, one in batches.items() if name not in gone}

    def _read_books(self) -> dict[bytes, bytes]:
        books: dict[Any, Any] = read_or({}, lambda: self._client.hgetall(self._books))
        return books

    def _make_books(self, now: float) -> None:
        found = find_unended(self._storage, self._project, now)
        pipeline = self._client.pipeline()
        if self._client.type(self._books) not in (b"hash", b"none"):  # of another program
            pipeline.delete(self._books)
        for batch, one in found.items():
            pipeline.hsetnx(self._books, batch, _encode(one))
        pipeline.hset(self._books, _MADE, "1")
        pipeline.expire(self._books, BOOKS_TTL_S)
        pipeline.execute()

    def _mark_ended(self, batches: dict[str, EnqueuedBatch]) -> dict[str, EnqueuedBatch]:
        """Those that the inbox has done with, though nobody said so here."""
        names = {
            str(BatchName.read(name, self._project)): name
            for name, one in batches.items()
            if not one.is_ended
        }
        entries = fetch_entries(self._client, names)
        ended = {
            names[entry]: msgspec.structs.replace(batches[names[entry]], is_ended=True)
            for entry, found in entries.items()
            if found.state in ("done", "buried")
        }
        self._write(ended)
        return ended

    def _write(self, batches: dict[str, EnqueuedBatch]) -> None:
        if batches:
            items = [text for name, one in batches.items() for text in (name, _encode(one))]
            self._client.hset(self._books, items=items)

    def _count_running(self) -> int:
        """All batches at Gemini, also of other programs, as of the last reconcile run."""
        with translate_redis_errors():
            moment = now_ms(self._client)
        return sum(one.count for one in read_running(self._client, [self._project], moment))

    def _day_budget(self, submission_id: str, now: float) -> Decimal | None:
        """What is left of today's cap, as if the submission's unsent part had reserved nothing."""
        cap = self._limits.daily_cost_cap
        if cap is None:
            return None
        spending = self._budget.spending(day_of(now))
        unsent = [
            part
            for part in spending.reserved
            if part.startswith(f"{submission_id}.")
            and not self._storage.exists(created_name(*part.split(".")))
        ]
        return cap - spending.total(apart_from=unsent)

    def _read_refusals(self, model: str) -> Refusals:
        with translate_redis_errors():
            data: Any = read_or(None, lambda: self._client.hget(self._refusals, _bare(model)))
        try:
            return _read_refusals(data) if data else Refusals(0, 0.0)
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            return Refusals(0, 0.0)


def _encode(record: msgspec.Struct) -> bytes:
    return msgspec.json.encode(record)


def _bare(model: str) -> str:
    return model.removeprefix("models/")


def _file_bytes(batches: dict[str, EnqueuedBatch], now: float) -> int:
    return sum(one.file_bytes for one in batches.values() if one.at > now - FILE_TTL_S)
