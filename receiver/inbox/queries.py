"""Lists the entries of the inbox, for people."""

from dataclasses import dataclass
from typing import Any, Literal

import redis

from receiver.batch_names import BatchName, SubmissionName
from receiver.inbox.entries import Entry, State, fetch_entries
from receiver.inbox.foreign import read_or, read_texts
from receiver.inbox.redis import BATCHES, LedgerKeys, Scripts, now_ms, translate_redis_errors

STATES: tuple[State, ...] = ("open", "leased", "buried", "done")  # in the order of lists
READ_BATCH_SIZE = 1000  # entries that are read together


@dataclass(frozen=True)
class EntryPage:
    """Some entries, and how many there are."""

    entries: list[Entry]
    total: int
    now_ms: int  # Redis' clock


class InboxQueries:
    """Reads the inbox. Every call raises InboxUnavailableError when Redis can't be asked.

    In the ledger of submissions, what is said here of batches holds for them.
    """

    def __init__(self, client: "redis.Redis", ledger: LedgerKeys = BATCHES) -> None:
        self._client, self._ledger = client, ledger
        self._scripts = Scripts(client, ("due_in_state",), ledger=ledger)
        self._ended = {"buried": ledger.buried, "done": ledger.done}

    def names(self, state: State, project: str | None = None, most: int | None = None) -> list[str]:
        """The first batches in this state, of one project or of all; all of them without `most`.

        Open and leased ones come by the time they are due, ended ones newest first.
        """
        key, is_of_all = self._ended.get(state), project is None
        read_most = most if is_of_all and most is not None else 0
        names = self._ended_names(key, read_most) if key else self._due_names(state)
        return [name for name in names if is_of_all or _project_of(name) == project][:most]

    def count_buried(self, project: str | None = None) -> int:
        """Of one project or of all."""
        if project is not None:
            return len(self.names("buried", project))
        with translate_redis_errors():
            return read_or(0, lambda: int(self._client.zcard(self._ledger.buried)))

    def _ended_names(self, key: str, most: int = 0) -> list[str]:
        """Newest first; 0 gives all of them."""
        with translate_redis_errors():
            found: list[Any] = read_or([], lambda: self._client.zrevrange(key, 0, most - 1))
        return read_texts(found)

    def _due_names(self, state: State) -> list[str]:
        """A batch that is moved meanwhile may be left out."""
        pages = self._scripts.scan_due("due_in_state", state)
        return list(dict.fromkeys(name for _, found in pages for name in read_texts(found)))

    def unsettled(self) -> set[str]:
        """All batches that are pending or buried."""
        with translate_redis_errors():
            due: list[Any] = read_or([], lambda: self._client.zrange(self._ledger.due, 0, -1))
        return {*read_texts(due), *self._ended_names(self._ledger.buried)}

    def listing(self, state: State | None, most: int, project: str | None = None) -> EntryPage:
        """The first entries of one state, or of open, leased, buried, done ones in this order."""
        names = [
            name for one in ((state,) if state else STATES) for name in self.names(one, project)
        ]
        entries = fetch_entries(self._client, names[:most], self._ledger)
        return EntryPage(list(entries.values()), len(names), self.now_ms())

    def latest(self, state: Literal["buried", "done"], most: int) -> list[Entry]:
        """The last entries that ended so, newest first."""
        names = self._ended_names(self._ended[state], most)
        return list(fetch_entries(self._client, names, self._ledger).values())

    def knows(self, batch: str) -> bool:
        """Whether there is an entry for this batch, be it readable or not."""
        with translate_redis_errors():
            return bool(self._client.exists(self._ledger.entry + batch))

    def called(self, display_name: str, project: str | None = None) -> list[str]:
        """The batches with this display name, as far as the inbox knows display names."""
        names = [name for state in STATES for name in self.names(state, project)]
        found = list[str]()
        for start in range(0, len(names), READ_BATCH_SIZE):
            page = names[start : start + READ_BATCH_SIZE]
            entries = fetch_entries(self._client, page, self._ledger)
            found += [name for name, one in entries.items() if one.display_name == display_name]
        return found

    def now_ms(self) -> int:
        """Unix time by Redis' clock."""
        with translate_redis_errors():
            return now_ms(self._client)


def _project_of(name: str) -> str:
    return (SubmissionName.read(name) or BatchName.read(name)).project
