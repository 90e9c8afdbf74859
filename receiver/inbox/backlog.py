"""The inbox as a person looks at it: what is in it, batch by batch."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import redis

from receiver.errors import InboxUnavailableError
from receiver.inbox.entries import ENTRY, Entry, State, fetch_entries
from receiver.inbox.names import split_inbox_name
from receiver.inbox.scripts import BURIED, DONE, DUE

TOGETHER = 1000  # entries asked for in one go


@dataclass(frozen=True)
class Listing:
    """Some entries, and how many there are."""

    entries: list[Entry]
    total: int
    now_ms: int  # Redis' clock


class Backlog:
    """Reads the inbox. Every call raises InboxUnavailableError when Redis can't be asked."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client

    def names(self, state: State, project: str | None = None) -> list[str]:
        """The batches in this state, of one project or of all.

        Open and leased ones come by the time they are due, ended ones newest first.
        """
        names = self._names(state)
        return names if project is None else [name for name in names if split_inbox_name(name)[0] == project]

    def _names(self, state: State) -> list[str]:
        try:
            if state == "buried":
                return _texts(self._client.zrevrange(BURIED, 0, -1))
            if state == "done":
                return _texts(self._client.zrevrange(DONE, 0, -1))
            return [name for name, found in self._due_states() if found == state]
        except redis.RedisError as error:
            raise InboxUnavailableError(f"Redis did not answer: {error}") from error

    def _due_states(self) -> list[tuple[str, str]]:
        names = iter(_texts(self._client.zrange(DUE, 0, -1)))
        found = []
        while group := list(islice(names, TOGETHER)):
            pipeline = self._client.pipeline(transaction=False)
            for name in group:
                pipeline.hget(ENTRY + name, "state")
            found += [(name, (state or b"").decode()) for name, state in zip(group, pipeline.execute(), strict=True)]
        return found

    def unsettled(self) -> set[str]:
        """All batches that are owed or buried."""
        try:
            return {*_texts(self._client.zrange(DUE, 0, -1)), *_texts(self._client.zrange(BURIED, 0, -1))}
        except redis.RedisError as error:
            raise InboxUnavailableError(f"Redis did not answer: {error}") from error

    def listing(self, state: State | None, most: int, project: str | None = None) -> Listing:
        """The first entries of one state, or of open, leased, buried and done ones in this order."""
        states: tuple[State, ...] = (state,) if state else ("open", "leased", "buried", "done")
        names = [name for one in states for name in self.names(one, project)]
        entries = fetch_entries(self._client, names[:most])
        return Listing(list(entries.values()), len(names), self.now_ms())

    def now_ms(self) -> int:
        """Unix time by Redis' clock."""
        try:
            seconds, microseconds = self._client.time()
        except redis.RedisError as error:
            raise InboxUnavailableError(f"Redis did not answer: {error}") from error
        return int(seconds) * 1000 + int(microseconds) // 1000


def _texts(values: Iterable[Any]) -> list[str]:
    return [value.decode() for value in values]
