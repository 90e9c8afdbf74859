"""The keys that our programs may leave in Redis without a TTL; the README lists them too."""

import redis

from receiver.inbox.job_queue import QUEUE

OURS = {
    "gbr:due",
    "gbr:fence",
    "gbr:deliveries",
    "gbr:refusals",
    "gbr:counters",
    "gbr:metrics",
    "gbr:reconcile",
    "gbr:paused",
}
RQ = {
    "rq:queues",
    "rq:workers",
    f"rq:workers:{QUEUE}",
    f"rq:queue:{QUEUE}",
    f"rq:queue:{QUEUE}:intermediate",
}
RQ |= {
    f"rq:{registry}:{QUEUE}"
    for registry in ("wip", "failed", "finished", "canceled", "deferred", "scheduled")
}


def lasting_keys(client: "redis.Redis") -> set[str]:
    """Keys without a TTL, open and leased entries aside."""
    found = set()
    for key in client.scan_iter(count=1000):
        is_owed = key.startswith(b"gbr:entry:") and client.hget(key, "state") in (
            b"open",
            b"leased",
        )
        if client.ttl(key) == -1 and not is_owed:
            found.add(key.decode())
    return found
