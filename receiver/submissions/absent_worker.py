"""What is said where no worker runs that would send a submission."""

import redis

from receiver.inbox.live_workers import find_workers
from receiver.inbox.redis import now_ms, translate_redis_errors


def describe_absent_worker(client: "redis.Redis") -> str | None:
    """None where a worker runs. Raises InboxUnavailableError."""
    with translate_redis_errors():
        moment = now_ms(client)
    if find_workers(client, moment):
        return None
    return (
        "no worker is running, so nothing is sent: start `gemini-batch-receiver up`, or `worker`"
        " where you run the processes yourself"
    )
