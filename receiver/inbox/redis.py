"""The inbox's Redis: how to connect, what its errors become, its clock, our keys, our scripts.

Every change of the inbox is one Lua script, atomic and by Redis' clock.
"""

import errno
import functools
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from importlib.metadata import version
from typing import Any, NamedTuple

import redis
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.retry import Retry

from receiver.errors import InboxUnavailableError

# Sorted sets of batch names: the first by due time, the others by when they ended.
DUE, BURIED, DONE = "gbr:due", "gbr:buried", "gbr:done"
ENTRY = "gbr:entry:"  # and a batch's name in the inbox: a hash
FENCE = "gbr:fence"  # the last token that a claim got: each is larger than all before
DELIVERIES, REFUSALS = "gbr:deliveries", "gbr:refusals"  # a list and a stream, newest first
DELIVERY_SHAPES = "gbr:shapes"  # a hash: a field for each kind of delivery
DELIVERY_CONTENTS = "gbr:delivery_contents"  # a list, newest first
SENDING_AGAIN = "gbr:again:"  # and the name of a stored batch: how far its failed requests are
METRICS = "gbr:metrics"  # a hash: a field for each series
COUNTERS = "gbr:counters"  # a hash: what has happened how often
HISTORY = "gbr:history"  # and the number of a half hour: a hash like METRICS
TREND = "gbr:trend"  # and the number of three hours: the same
RECONCILE, RUNNING = "gbr:reconcile", "gbr:running"  # of the default project: see `project_key`
# Of the default project too: hashes with a field for each batch under way, and for each model.
ENQUEUED, QUOTA_REFUSALS = "gbr:enqueued", "gbr:quota_refusals"
ROOM_LINE = "gbr:room_line"  # and a model: a sorted set of submissions by when they were accepted
PAUSED = "gbr:paused"  # a hash: since when each project is paused; the default project is ""
WEB_PROCESSES = "gbr:web"  # a hash: a field for each
NOTICE_TARGETS, DEAD_NOTICES = "gbr:notices", "gbr:dead_notices"  # a set and a sorted set
NOTICE_QUEUE = "gbr:notices:"  # and the digest of a target: a sorted set by due time
NOTICE = "gbr:notice:"  # and the name of a notice: a hash
WRITE_PROBE, RQ_WRITE_PROBE = "gbr:probe", "rq:gbr-probe"


class LedgerKeys(NamedTuple):
    """Where one ledger lies: what it is due, buried and done, and the prefix of its entries."""

    due: str
    buried: str
    done: str
    entry: str


BATCHES = LedgerKeys(DUE, BURIED, DONE, ENTRY)
SUBMISSIONS = LedgerKeys(  # the same scripts serve it: see prelude.lua
    "gbr:submissions:due",
    "gbr:submissions:buried",
    "gbr:submissions:done",
    "gbr:submissions:entry:",
)

# What every script gets behind the sorted sets of its ledger, and how it is run.
SHARED_KEYS = (FENCE, DELIVERIES, METRICS)
KEYS = (*BATCHES[:3], *SHARED_KEYS)
READING = frozenset({"due_in_state", "find", "outages"})  # scripts that change nothing
SCAN_SIZE = 2000  # entries that Redis goes through in one go, a few milliseconds

REDIS_TIMEOUT_S = 2.0
# Another connection may do better; the last one comes after a failover.
CLOSING_ERRORS = (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError)
# Of one client. The web process's intake has two more, and small plans allow 20 in all.
MAX_CONNECTIONS = 4


def project_key(key: str, project: str) -> str:
    """The key of one project; the default project is ""."""
    return f"{key}:{project}" if project else key


@functools.cache
def driver_info() -> DriverInfo:
    """How CLIENT LIST names us; made once, since it reads the metadata of installed packages."""
    ours = "gemini-batch-receiver"
    return DriverInfo().add_upstream_driver(ours, version(ours))


def connect(url: str, timeout_s: float = REDIS_TIMEOUT_S) -> "redis.Redis":
    """A client that fails within seconds: the caller knows better when to try again."""
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=MAX_CONNECTIONS,
        timeout=REDIS_TIMEOUT_S,
        socket_timeout=timeout_s,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0, CLOSING_ERRORS),
        health_check_interval=0,
        driver_info=driver_info(),
    )
    return redis.Redis.from_pool(pool)


@contextmanager
def translate_redis_errors(action: str = "answer") -> Iterator[None]:
    """Raise redis.RedisError as InboxUnavailableError: "Redis did not <action>: …"."""
    try:
        yield
    except redis.RedisError as error:
        raise InboxUnavailableError(f"Redis did not {action}: {_explain(error)}") from error


def _explain(error: redis.RedisError) -> str:
    """Its text, and what to do where nothing listens at the address."""
    text, cause = str(error).rstrip("."), error.__context__
    is_absent = isinstance(cause, OSError) and cause.errno in (errno.ENOENT, errno.ECONNREFUSED)
    if not is_absent:
        return text
    if "unix:" in text or ".sock" in text:
        hint = "`gemini-batch-receiver up` is not running here: start it, or correct REDIS_URL"
        return f"{text} ({hint})"
    hint = "start Redis or `gemini-batch-receiver up`, which brings one, or correct REDIS_URL"
    return f"{text} (nothing listens there: {hint})"


def read_time_ms(answer: tuple[int, int]) -> int:
    """Unix time in milliseconds, from the seconds and microseconds that TIME answers."""
    seconds, microseconds = answer
    return int(seconds) * 1000 + int(microseconds) // 1000


def now_ms(client: "redis.Redis") -> int:
    """Unix time in milliseconds by Redis' clock. Raises redis.RedisError."""
    return read_time_ms(client.time())


@functools.cache
def read_script(name: str) -> str:
    """The text of one script, with what all of them share; a worker's children inherit it."""
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
        ledger: LedgerKeys = BATCHES,
    ) -> None:
        """`reconcile_key` is that of a project's lock, `targets` are digests of notice targets."""
        queues = (NOTICE_QUEUE + target for target in targets)
        self._keys = (*ledger[:3], *SHARED_KEYS, reconcile_key, *queues)
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

    def run(self, name: str, *args: str | bytes | float) -> Any:
        """What the script gives. Raises InboxUnavailableError when Redis can't be asked."""
        with translate_redis_errors("answer" if name in READING else name.replace("_", " ")):
            return self._scripts[name](keys=self._keys, args=args)
