"""An inbox with 100,000 stored batches, and a web process that shows it."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from deploy.sandbox.processes import allocate_port
from receiver.inbox.entry_fields import Summary
from receiver.inbox.redis import DONE, ENTRY, connect
from receiver.storage import LocalStorage
from tests.receiver.inbox.test_finding import put
from tests.running import answers, running_program
from tests.waiting import eventually
from tests.workers.storing import store

HOSTILE = "<img src=x onerror=alert(1)>\"'</script>{{7*7}}\u202e\x1b[31m"
KEY = "request 7/ü"  # of the only result of `batches/keyed`
STORED = 100_000
FILL = """
local summary = '{"state":"SUCCEEDED","display_name":"evening %d","model":"models/gemini-3.5-flash",'
  .. '"requests":1000,"outcomes":{"ok":990,"error":10},"missing":0,"balanced":true,'
  .. '"problems":["10 results are no answer: 10 errors"]}'
for number = ARGV[2], ARGV[3] do
  local moment = string.format('%.0f', ARGV[1] + number)
  local name = string.format('batches/b%06d', number)
  redis.call('ZADD', KEYS[1], moment, name)
  redis.call('HSET', KEYS[2] .. name, 'state', 'done', 'event', 'batch.succeeded', 'door', 'static',
    'attempts', 0, 'waits', 0, 'accepted', moment, 'changed', moment,
    'summary', string.format(summary, number))
end
"""


def fill(client: "redis.Redis", count: int = STORED, since_ms: int = 0) -> None:
    """So many stored batches, a millisecond apart: `b000001`, called "evening 1", is the oldest."""
    for start in range(1, count + 1, 5000):
        client.eval(FILL, 2, DONE, ENTRY, since_ms, start, min(start + 4999, count))


@contextmanager
def serving_full_inbox(
    redis_url: str, folder: Path, token: str, count: int = STORED
) -> Iterator[str]:
    """The address of a web process with so many batches of the last minutes, and special ones.

    `needle` is older than all others, by its model as well; names and causes of some are hostile.
    """
    now_ms = int(time.time() * 1000)
    with connect(redis_url) as client:
        client.flushall()
        fill(client, count, now_ms - 2 * count)
        put(client, "batches/needle", at_ms=now_ms - 3 * count, summary=Summary(model="needle"))
        hostile = Summary(display_name=HOSTILE, model=HOSTILE, outcomes={"ok": 1, "blocked": 2})
        put(client, "batches/hostile", at_ms=now_ms, summary=hostile)
        put(client, "batches/lost", "buried", now_ms, cause=HOSTILE * 9)
        progress = json.dumps({"stage": "split", "lines": 5, "display_name": HOSTILE})
        put(client, "acme/batches/run", "leased", now_ms, progress=progress)
        put(client, "batches/keyed", at_ms=now_ms + 1, summary=Summary(display_name="keyed"))
    line = json.dumps({"key": KEY, "response": {"candidates": [{}]}}).encode()
    store(LocalStorage(folder / "outputs"), line, 1, batch_id="keyed")

    port = allocate_port()
    settings = {
        "GEMINI_API_KEY": "right-key",
        "GEMINI_BASE_URL": "http://127.0.0.1:9",
        "REDIS_URL": redis_url,
        "STORAGE_URL": (folder / "outputs").as_uri(),
        "PORT": str(port),
        "RECONCILE_INTERVAL_S": "0",
        "STATUS_TOKEN": token,
        "STATUS_ANSWERS": "true",
    }
    with running_program(folder, settings, "serve"):
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: answers(f"{url}/ready"), 20)
        yield url
    with connect(redis_url) as client:
        client.flushall()
