"""Entries of the inbox, as they are read."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import redis

from receiver.batch_names import BatchName, SubmissionName
from receiver.inbox.entry_fields import (
    JobProgress,
    Standing,
    Step,
    Summary,
    read_progress,
    read_standing,
    read_summary,
    read_timeline,
)
from receiver.inbox.redis import BATCHES, LedgerKeys, translate_redis_errors

State = Literal["open", "leased", "done", "buried"]
PASSING_FAULTS = frozenset({"outside", "refused"})

# The version before kept no fault. These are the causes that it wrote for such errors.
PASSING_CAUSES = re.compile(
    r"Gemini (did not give|refused|knows no|redirected) (batches|files)/"
    r"|Gemini says [A-Z_]+( but does not name the results yet)?$"
    r"|Gemini's answer on (batches|files)/"
    r"|no answer from Gemini for (batches|files)/"
    r"|the download of files/\S+ broke at byte "
    r"|files/\S+ (changed while it was read|came without a length|arrived )"
    r"|the storage did not \w+( for)? "
    r"|STORAGE_URL can't be used: "
    r"|.{1,200} did not hold the results on their way to the storage"
    r"|the project \w+ is not known here"
)


@dataclass(frozen=True)
class Entry:
    """What the inbox knows of a batch, or of a submission."""

    batch: str  # its name in the inbox
    project: str  # empty for the default project
    state: State
    event: str
    source: str  # of its event: a `Source` of receiver.inbox.ledger, if we wrote it
    attempts: int
    waits: int
    accepted_ms: int  # Unix time by Redis' clock
    changed_ms: int
    cause: str  # why it was postponed or buried
    summary: Summary  # of a stored batch
    metadata: dict[str, Any]  # the webhook's user metadata
    progress: JobProgress | None  # of a batch that a worker has had for some seconds
    timeline: tuple[Step, ...]
    outages: int = 0  # faults of Gemini, the network or the storage in a row
    outage_ms: int | None = None  # since when
    refusals: int = 0  # answers of Gemini in a row that there is no such thing
    refused_ms: int | None = None  # since when
    fault: str = ""  # whose fault a buried batch is; empty of the version before
    standing: Standing | None = None  # of a submission that a worker has looked at

    @property
    def display_name(self) -> str:
        """What the batch is called at Gemini; empty where no worker has asked yet."""
        return self.summary.display_name or (self.progress and self.progress.display_name) or ""


def fetch_entries(
    client: "redis.Redis", batches: Iterable[str], ledger: LedgerKeys = BATCHES
) -> dict[str, Entry]:
    """What the inbox knows of these batches, in their order; unknown ones are left out.

    Raises InboxUnavailableError when Redis can't be asked.
    """
    names = list(batches)
    with translate_redis_errors():
        pipeline = client.pipeline(transaction=False)
        for name in names:
            pipeline.hgetall(ledger.entry + name)
        rows = pipeline.execute(raise_on_error=False)
    entries = {name: _read_entry(name, row) for name, row in zip(names, rows, strict=True)}
    return {name: entry for name, entry in entries.items() if entry is not None}


@translate_redis_errors()
def fetch_causes(client: "redis.Redis", batches: Sequence[str]) -> dict[str, str]:
    """Why each of these batches is where it is; empty where nobody said. Cheaper than entries.

    Raises InboxUnavailableError when Redis can't be asked.
    """
    pipeline = client.pipeline(transaction=False)
    for name in batches:
        pipeline.hget(BATCHES.entry + name, "cause")
    found = pipeline.execute(raise_on_error=False)
    return {
        name: cause.decode(errors="replace") if isinstance(cause, bytes) else ""
        for name, cause in zip(batches, found, strict=True)
    }


def _read_entry(batch: str, row: object) -> Entry | None:
    """None where there is none, or where somebody else wrote something that is none."""
    try:
        return _read_fields(batch, row) if isinstance(row, dict) and row else None
    except (LookupError, ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None


def _read_fields(batch: str, row: dict[bytes, bytes]) -> Entry:
    fields = {
        name.decode(errors="replace"): value.decode(errors="replace") for name, value in row.items()
    }
    return Entry(
        batch=batch,
        project=(SubmissionName.read(batch) or BatchName.read(batch)).project,
        state=msgspec.convert(fields["state"], State),
        event=fields["event"],
        source=fields["door"],  # see accept.lua
        attempts=int(fields["attempts"]),
        waits=int(fields["waits"]),
        accepted_ms=int(fields["accepted"]),
        changed_ms=int(fields["changed"]),
        cause=fields.get("cause", ""),
        summary=read_summary(fields.get("summary", "")),
        metadata=msgspec.json.decode(fields.get("metadata") or "{}", type=dict[str, Any]),
        progress=read_progress(fields.get("progress", "")),
        timeline=read_timeline(fields.get("timeline", "")),
        outages=int(fields.get("outages", "0")),
        outage_ms=_moment(fields.get("outages_since")),
        refusals=int(fields.get("refusals", "0")),
        refused_ms=_moment(fields.get("refusals_since")),
        fault=fields.get("fault", ""),
        standing=read_standing(fields.get("standing", "")),
    )


def _moment(text: str | None) -> int | None:
    return None if text is None else int(text)


def may_pass(entry: Entry) -> bool:
    """Whether a buried batch may be opened once Gemini gives its results.

    So it is where no person and no crash buried it.
    """
    if entry.state != "buried":
        return False
    if entry.fault:
        return entry.fault in PASSING_FAULTS
    return PASSING_CAUSES.match(entry.cause) is not None
