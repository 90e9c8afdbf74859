"""The Lua scripts: every change of the inbox is one of them, atomic and by Redis' clock."""

import itertools
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any

import redis

from receiver.inbox.redis import (
    BURIED,
    DELIVERIES,
    DONE,
    DUE,
    FENCE,
    METRICS,
    NOTICE_QUEUE,
    RECONCILE,
    translate_redis_errors,
)

SCAN_SIZE = 2000  # entries that Redis goes through in one go, a few milliseconds
READING = frozenset({"due_in_state", "outages"})  # scripts that change nothing
KEYS = (DUE, BURIED, DONE, FENCE, DELIVERIES, METRICS)


def read_script(name: str) -> str:
    """The text of one script, with what all of them share."""
    folder = resources.files("receiver.inbox") / "lua"
    return (folder / "prelude.lua").read_text() + (folder / f"{name}.lua").read_text()


class Scripts:
    """Some of `receiver/inbox/lua`, ready to run."""

    def __init__(
        self,
        client: "redis.Redis",
        names: Sequence[str],
        reconcile_key: str = RECONCILE,
        targets: Sequence[str] = (),
    ) -> None:
        """`reconcile_key` is that of a project's lock, `targets` are digests of notice targets."""
        self._keys = (*KEYS, reconcile_key, *(NOTICE_QUEUE + target for target in targets))
        self._scripts = {name: client.register_script(read_script(name)) for name in names}

    def scan_due(self, name: str, *args: str | float) -> Iterator[Any]:
        """Run a script over the due batches, SCAN_SIZE at a time; gives each run's answer.

        The script takes the first and the last rank behind `args`, and answers first how many
        batches there are at these ranks. Raises InboxUnavailableError.
        """
        for start in itertools.count(0, SCAN_SIZE):
            answer = self.run(name, *args, start, start + SCAN_SIZE - 1)
            yield answer
            if answer[0] < SCAN_SIZE:
                return

    def run(self, name: str, *args: str | float) -> Any:
        """What the script gives. Raises InboxUnavailableError when Redis can't be asked."""
        with translate_redis_errors("answer" if name in READING else name.replace("_", " ")):
            return self._scripts[name](keys=self._keys, args=args)
