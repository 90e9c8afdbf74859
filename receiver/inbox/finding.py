"""Finds batches of the inbox by name, state, outcome, project, model and time, for people.

There is no index: Redis goes through the ledger's sorted sets by itself, a chunk at a time, and
sends only what was found. What one page may cost is bounded, and a cursor goes on behind it.
"""

import base64
import heapq
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from math import inf, isfinite
from typing import Any, Literal, NamedTuple, get_args

import msgspec
import redis

from receiver.inbox.entries import Entry, State, fetch_entries
from receiver.inbox.foreign import read_text
from receiver.inbox.redis import BATCHES, LedgerKeys, Scripts, now_ms, translate_redis_errors
from receiver.outputs.outcomes import Outcome

Order = Literal["newest", "oldest"]
SetName = Literal["due", "buried", "done"]
SETS: tuple[SetName, ...] = ("due", "buried", "done")  # in the order of the scripts' keys
SETS_OF: Mapping[State, SetName] = {
    "open": "due",
    "leased": "due",
    "buried": "buried",
    "done": "done",
}
# Of a stored batch: all is well, or not; its results were gone; a request of it ended so.
WANTED_OUTCOMES = (
    "well",
    "unwell",
    "expired",
    *(one.value for one in Outcome if one is not Outcome.OK),
    "missing",
)
CHUNK = 1000  # entries that Redis goes through in one go: some milliseconds
MAX_LOOKED = 20_000  # entries of each set that one page costs at most
FIRST_MS, LAST_MS = 0, 10**15
SCORE = re.compile(r"(?:-?(?:inf|[0-9]{1,17}(?:\.[0-9]{1,17})?(?:e[+-]?[0-9]{1,3})?))?")


class BatchFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What a person looks for. Empty fields ask for nothing."""

    # In its name, its display name, or the cause why it waits or was buried, whatever its case.
    text: str = ""
    state: State | None = None
    outcome: str = ""  # one of WANTED_OUTCOMES, which only a stored batch has
    project: str | None = None  # empty for the default project
    model: str = ""  # a part of its name; known of stored batches only
    # When it was stored or buried; of one that is pending, when it was accepted. Unix time by
    # Redis' clock, both included.
    since_ms: int = FIRST_MS
    until_ms: int = LAST_MS
    # Pending batches come first, by when they are due; the others by when they ended.
    order: Order = "newest"

    @property
    def sets(self) -> tuple[SetName, ...]:
        """Where such batches can be."""
        states: tuple[State, ...] = get_args(State) if self.state is None else (self.state,)
        if self.outcome or self.model:
            states = tuple(state for state in states if state == "done")
        return tuple(name for name in SETS if name in {SETS_OF[state] for state in states})


@dataclass(frozen=True)
class FoundBatches:
    """One page of what was found."""

    entries: list[Entry]
    looked: int  # entries that were gone through for it
    cursor: str  # goes on behind it; empty where there is no more
    is_cut: bool  # it ends where no more may be gone through, though it is not full
    # How far ended batches were gone through, by when they ended; None: not at all, or to the end.
    reached_ms: int | None
    now_ms: int  # Redis' clock


class _Place(NamedTuple):
    """A member of a sorted set, and its score as Redis writes it; empty before the first one."""

    score: str = ""
    member: bytes = b""


class _Hit(NamedTuple):
    place: _Place
    source: "_Scan"
    is_match: bool  # else it says how far was looked, and that no more may be


class _Scan:
    """Goes through one sorted set behind a place."""

    def __init__(
        self, scripts: Scripts, number: int, wanted: BatchFilter, limit: int, place: _Place | None
    ) -> None:
        self.place = place  # None at the end of the set
        self.looked = 0
        self._scripts, self._limit = scripts, limit
        is_due = SETS[number] == "due"
        self._start = (number + 1, "oldest" if is_due else wanted.order)
        self._wanted = encode_filter(wanted)

    def __iter__(self) -> Iterator[_Hit]:
        """What is found, and last a hit that is no match where it must stop before the end.

        Who takes a hit notes its place. None is lost that way: the next one is made only then.
        """
        while self.place is not None:
            if self.looked >= MAX_LOOKED:
                yield _Hit(self.place, self, is_match=False)
                return
            size = min(CHUNK, MAX_LOOKED - self.looked)
            looked, is_end, score, member, found = self._run(self.place, size)
            self.looked += looked
            for name, name_score in zip(found[::2], found[1::2], strict=True):
                yield _Hit(_Place(name_score.decode(), name), self, is_match=True)
            self.place = None if is_end else _Place(score.decode(), member)

    def _run(self, place: _Place, size: int) -> Any:
        return self._scripts.run("find", *self._start, *place, size, self._limit, self._wanted)


def find_batches(
    client: "redis.Redis",
    wanted: BatchFilter,
    limit: int,
    cursor: str = "",
    ledger: LedgerKeys = BATCHES,
) -> FoundBatches:
    """The next batches behind the cursor of the page before; one that is none begins anew.

    Raises InboxUnavailableError when Redis can't be asked.
    """
    scripts, places = Scripts(client, ("find",), ledger=ledger), _read_cursor(cursor)
    scans = {
        name: _Scan(scripts, SETS.index(name), wanted, limit + 1, places.get(name, _Place()))
        for name in wanted.sets
    }

    names = list[str]()
    for hit in _merge(scans, wanted.order):
        if len(names) == limit and hit.is_match:
            break
        hit.source.place = hit.place
        if not hit.is_match:
            break
        if (name := read_text(hit.place.member)) is not None:
            names.append(name)

    with translate_redis_errors():
        moment = now_ms(client)
    cursor = _write_cursor({name: scan.place for name, scan in scans.items()})
    return FoundBatches(
        entries=list(fetch_entries(client, names, ledger).values()),
        looked=sum(one.looked for one in scans.values()),
        cursor=cursor,
        is_cut=bool(cursor) and len(names) < limit,
        reached_ms=_find_reached_ms(scans, wanted.order),
        now_ms=moment,
    )


def find_first(client: "redis.Redis", wanted: BatchFilter, most: int) -> FoundBatches:
    """The first `most` batches, however far they have to be looked for: for a command, not a page.

    Raises InboxUnavailableError when Redis can't be asked.
    """
    entries, looked, cursor = list[Entry](), 0, ""
    while True:
        page = find_batches(client, wanted, most - len(entries), cursor)
        entries, looked, cursor = [*entries, *page.entries], looked + page.looked, page.cursor
        if not cursor or len(entries) >= most:
            return replace(page, entries=entries, looked=looked)


def _find_reached_ms(scans: Mapping[SetName, _Scan], order: Order) -> int | None:
    ended = (scan.place for name, scan in scans.items() if name != "due")
    scores = [float(place.score) for place in ended if place and place.score]
    reached = (max if order == "newest" else min)(scores, default=inf)
    return int(reached) if isfinite(reached) else None


def _merge(scans: Mapping[SetName, _Scan], order: Order) -> Iterator[_Hit]:
    ended = [scan for name, scan in scans.items() if name != "due"]
    merged = heapq.merge(
        *ended, key=lambda hit: float(hit.place.score or "inf"), reverse=order == "newest"
    )
    return chain(scans.get("due", ()), merged)


def encode_filter(wanted: BatchFilter) -> bytes:
    """The filter as the script reads it."""
    project = wanted.project
    prefix = "" if project is None else f"{project}/" if project else "batches/"
    return msgspec.json.encode(
        {
            "text": _forms(wanted.text),
            "encoded_text": _encoded_forms(wanted.text),
            "state": wanted.state or "",
            "outcome": _outcome_patterns(wanted.outcome),
            "is_well": wanted.outcome == "well",
            "prefix": prefix,
            "model": _forms(wanted.model),
            "encoded_model": _encoded_forms(wanted.model),
            "since": str(wanted.since_ms),
            "till": str(wanted.until_ms),
        }
    )


def _outcome_patterns(outcome: str) -> list[str]:
    """Patterns of Lua, one of which a summary in JSON holds outside of its texts if it ended so.

    In texts, quotes have a backslash before them. Of what is well, those that it does not hold.
    """
    if not outcome:
        return [""]
    if outcome in ("well", "unwell"):
        return ['"problems": ?%["', '"expired": ?"']
    return ['"expired": ?"'] if outcome == "expired" else [f'"{outcome}": ?[1-9]']


def _forms(text: str) -> list[str]:
    """A text as names may have it: Redis makes only ASCII letters small.

    >>> _forms("Über")
    ['über', 'Über']
    """
    text = text.encode(errors="replace").decode()
    forms = (text.lower(), text, text.capitalize(), text.title(), text.upper())
    return list(dict.fromkeys(_lower(one) for one in forms))


def _encoded_forms(text: str) -> list[str]:
    """The same, and as entries have them in JSON: in UTF-8, or in ASCII beside half surrogates."""
    forms = _forms(text)
    in_utf8 = (msgspec.json.encode(form).decode()[1:-1] for form in forms)
    in_ascii = (json.dumps(form)[1:-1] for form in forms)
    return list(dict.fromkeys((*forms, *in_utf8, *in_ascii)))


def _lower(text: str) -> str:
    """With small ASCII letters."""
    return "".join(one.lower() if one.isascii() else one for one in text)


def _write_cursor(places: Mapping[SetName, _Place | None]) -> str:
    """Empty where all sets are at their end."""
    if not any(places.values()):
        return ""
    return base64.urlsafe_b64encode(msgspec.json.encode(places)).decode().rstrip("=")


def _read_cursor(cursor: str) -> dict[SetName, _Place | None]:
    """Undo it; nothing for what is none."""
    try:
        data = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        places = msgspec.json.decode(data, type=dict[SetName, _Place | None])
    except ValueError:  # so are the errors of msgspec and base64
        return {}
    is_ours = all(place is None or SCORE.fullmatch(place.score) for place in places.values())
    return places if is_ours else {}
