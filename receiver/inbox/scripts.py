"""The Lua scripts: every change of the inbox is one of them, atomic and on Redis' own clock."""

from collections.abc import Sequence
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
        """`reconcile_key` is that of a project's lock, `targets` are digests of whom to tell."""
        self._keys = (*KEYS, reconcile_key, *(NOTICE_QUEUE + target for target in targets))
        self._scripts = {name: client.register_script(read_script(name)) for name in names}

    def run(self, name: str, *args: str | float) -> Any:
        """What the script gives. Raises InboxUnavailableError when Redis can't be asked."""
        with translate_redis_errors("answer" if name in READING else name.replace("_", " ")):
            return self._scripts[name](keys=self._keys, args=args)
