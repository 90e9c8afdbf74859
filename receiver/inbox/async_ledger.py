"""Async twin of `Inbox.accept`: running that in a thread would cost a GIL switch per delivery."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from receiver.errors import InboxUnavailableError
from receiver.inbox.ledger import Arrival, accept_args, read_verdicts
from receiver.inbox.redis import CLOSING_ERRORS, RECONCILE, REDIS_TIMEOUT_S, driver_info
from receiver.inbox.scripts import KEYS, read_script


class AsyncInbox:
    """Records arrivals over one connection, one call at a time. Use as an async context manager."""

    def __init__(self, url: str) -> None:
        self._client = redis.asyncio.Redis.from_url(
            url,
            socket_timeout=REDIS_TIMEOUT_S,
            socket_connect_timeout=REDIS_TIMEOUT_S,
            # On a new connection; to accept twice is harmless.
            retry=Retry(NoBackoff(), 1, CLOSING_ERRORS),
            health_check_interval=0,
            driver_info=driver_info(),
        )
        self._script = self._client.register_script(read_script("accept"))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def accept(self, arrivals: Sequence[Arrival]) -> list[bool]:
        """Record all arrivals in one atomic step. True where one opened an entry.

        Raises InboxUnavailableError within REDIS_TIMEOUT_S.
        """
        try:
            async with asyncio.timeout(REDIS_TIMEOUT_S):
                return read_verdicts(
                    await self._script(keys=(*KEYS, RECONCILE), args=accept_args(arrivals))
                )
        except (redis.RedisError, TimeoutError, OSError) as error:
            raise InboxUnavailableError(f"Redis did not accept: {error!r}") from error
