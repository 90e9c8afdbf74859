"""What a start waits for: that Redis answers, that the web process listens."""

import asyncio
import logging
import time
from contextlib import suppress

import redis.asyncio
from redis.exceptions import RedisError

ASK_TIMEOUT_S = 2.0
ASK_EVERY_S = 0.1
SILENT_S = 3.0  # before it is said that somebody waits
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - asked, not bound
log = logging.getLogger(__name__)


async def wait_for_redis(url: str) -> None:
    """Until it answers, however long that takes: it may still load its data, or start after us."""
    client = redis.asyncio.Redis.from_url(
        url,
        socket_timeout=ASK_TIMEOUT_S,
        socket_connect_timeout=ASK_TIMEOUT_S,
    )
    started, is_said = time.monotonic(), False
    async with client:
        while True:
            try:
                await client.ping()
            except (RedisError, OSError) as error:
                if not is_said and time.monotonic() - started > SILENT_S:
                    cause = f"Redis does not answer: {error}"
                    log.warning("service.waiting", extra={"cause": cause})
                    is_said = True
                await asyncio.sleep(ASK_EVERY_S)
            else:
                return


async def wait_for_listener(host: str, port: int) -> None:
    """Until somebody takes connections there."""
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(ANY_ADDRESS.get(host, host), port)
            writer.close()
            return
        await asyncio.sleep(ASK_EVERY_S)
