"""What programs are told of the inbox: the JSON of the commands, and of the HTTP API."""

from dataclasses import dataclass, fields
from typing import Any

from receiver.inbox.entries import Entry
from receiver.inbox.entry_fields import judge_summary


@dataclass(frozen=True, kw_only=True)
class JudgedEntry(Entry):
    """An entry of the inbox, with what is said of a stored batch."""

    judgement: str | None


@dataclass(frozen=True, kw_only=True)
class ListedEntry(JudgedEntry):
    """The same in a list."""

    age_s: int  # since it was accepted


def judge_entry(entry: Entry) -> JudgedEntry:
    judgement = judge_summary(entry.summary, entry.batch) if entry.state == "done" else None
    return JudgedEntry(**_fields_of(entry), judgement=judgement.text if judgement else None)


def list_entry(entry: Entry, now_ms: int) -> ListedEntry:
    """`now_ms` is Unix time by Redis' clock."""
    age_s = max(0, now_ms - entry.accepted_ms) // 1000
    return ListedEntry(**_fields_of(judge_entry(entry)), age_s=age_s)


def _fields_of(entry: Entry) -> dict[str, Any]:
    return {field.name: getattr(entry, field.name) for field in fields(entry)}
