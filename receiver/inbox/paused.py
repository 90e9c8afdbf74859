"""Projects that a person has paused: workers take none of their batches and submissions.

Deliveries are accepted all the same, and wait.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import redis

from receiver.inbox.foreign import read_number, read_or, read_text, read_texts
from receiver.inbox.redis import PAUSED, Scripts, translate_redis_errors

RESUMED_WITHIN_S = 60  # of a word to go on, whatever is due has a job again


class PausedProjects:
    """Every call raises InboxUnavailableError when Redis can't be asked.

    The default project is "".
    """

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._run = Scripts(client, ("pause",)).run

    def pause(self, projects: Iterable[str]) -> list[str]:
        """Let workers take nothing of these. Gives those that were not paused before."""
        return self._change("pause", projects)

    def resume(self, projects: Iterable[str]) -> list[str]:
        """Let workers go on with these. Gives those that were paused."""
        return self._change("resume", projects)

    def _change(self, order: Literal["pause", "resume"], projects: Iterable[str]) -> list[str]:
        return read_texts(self._run("pause", order, *projects))


@translate_redis_errors()
def fetch_paused(client: "redis.Redis") -> dict[str, int]:
    """The paused projects, and since when each is, in Unix time in ms by Redis' clock.

    Raises InboxUnavailableError.
    """
    rows: Mapping[Any, Any] = read_or({}, lambda: client.hgetall(PAUSED))
    read = {read_text(project): read_number(since) for project, since in rows.items()}
    return {project: since or 0 for project, since in sorted(read.items()) if project is not None}
