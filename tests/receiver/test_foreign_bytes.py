"""Another program wrote into our Redis: one bad member or key, and every view shows the rest."""

import json
from collections.abc import Callable

import pytest
import redis
from click.testing import CliRunner, Result
from starlette.requests import Request

from receiver.cli import main
from receiver.inbox.job_queue import QUEUE, JobQueue
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.queries import InboxQueries
from receiver.inbox.redis import (
    BURIED,
    COUNTERS,
    DEAD_NOTICES,
    DELIVERIES,
    DELIVERY_CONTENTS,
    DELIVERY_SHAPES,
    DONE,
    DUE,
    METRICS,
    NOTICE_TARGETS,
    PAUSED,
    RECONCILE,
    REFUSALS,
    WEB_PROCESSES,
)
from receiver.inbox.redispatch import sweep
from receiver.recovery.reconcile_lock import ReconcileLock
from receiver.settings.settings import read_settings
from receiver.status.batch_search import read_search
from receiver.status.buried_queries import read_buried
from receiver.status.delivery_queries import read_delivery_details, read_delivery_page
from receiver.status.finding import list_batches
from receiver.status.history_queries import read_history
from receiver.status.notice_queries import read_notice_page
from receiver.status.pages import FRAGMENT, Pages
from receiver.status.queries import read_snapshot
from receiver.telemetry.metrics.gauges import read_fields
from receiver.telemetry.metrics.history import DAY
from tests.receiver.inbox.test_queries import fill

ODD = b"batches/\xff\xfe"
Spoil = Callable[["redis.Redis"], object]
SPOILS: dict[str, Spoil] = {
    "due": lambda client: client.zadd(DUE, {ODD: 1}),
    "buried": lambda client: client.zadd(BURIED, {ODD: 9e15}),
    "done": lambda client: client.zadd(DONE, {ODD: 9e15}),
    "entry of bytes": lambda client: (
        client.zadd(DUE, {ODD: 1}),
        client.hset(b"gbr:entry:" + ODD, "state", "open"),
    ),
    "entry of no hash": lambda client: (
        client.zadd(BURIED, {"batches/odd": 9e15}),
        client.set("gbr:entry:batches/odd", 1),
    ),
    "owed entry of no hash": lambda client: (
        client.zadd(DUE, {"batches/odd": 1}),
        client.set("gbr:entry:batches/odd", 1),
    ),
    "entry without fields": lambda client: (
        client.zadd(DONE, {"batches/odd": 9e15}),
        client.hset("gbr:entry:batches/odd", mapping={b"\xff": b"\xff", "state": "sleeping"}),
    ),
    "delivery": lambda client: client.lpush(DELIVERIES, b"\xff", b"a\nb\nc\nd\ne"),
    "refusal": lambda client: client.xadd(REFUSALS, {b"\xff": b"\xff"}),
    "shape": lambda client: client.hset(DELIVERY_SHAPES, b"\xff", b"\xff"),
    "content": lambda client: client.lpush(DELIVERY_CONTENTS, b"\xff"),
    "paused": lambda client: client.hset(PAUSED, b"\xff", b"\xff"),
    "counter": lambda client: client.hset(
        COUNTERS, mapping={b"\xff": 1, "unbalanced_batches": b"\xff"}
    ),
    "metric": lambda client: client.hset(METRICS, mapping={b"\xff": b"\xff"}),
    "look": lambda client: client.hset(RECONCILE, mapping={"began": b"\xff", "complete": "soon"}),
    "web": lambda client: client.hset(WEB_PROCESSES, b"\xff", b"\xff"),
    "target": lambda client: client.sadd(NOTICE_TARGETS, b"\xff"),
    "dead notice": lambda client: client.zadd(DEAD_NOTICES, {b"\xff": 1}),
    "queue": lambda client: client.lpush(f"rq:queue:{QUEUE}", b"\xff"),
    "worker": lambda client: client.sadd(f"rq:workers:{QUEUE}", b"\xff", "rq:worker:junk", "junk"),
    "worker of no hash": lambda client: (
        client.sadd(f"rq:workers:{QUEUE}", "rq:worker:x"),
        client.set("rq:worker:x", 1),
    ),
}
TYPES = [
    BURIED,
    DONE,
    DELIVERIES,
    DELIVERY_CONTENTS,
    DELIVERY_SHAPES,
    PAUSED,
    REFUSALS,
    COUNTERS,
    METRICS,
    RECONCILE,
    WEB_PROCESSES,
    NOTICE_TARGETS,
    DEAD_NOTICES,
    DUE,
    f"rq:workers:{QUEUE}",
]


def junk_at(key: str) -> Spoil:
    return lambda client: (client.delete(key), client.set(key, "junk"))


SPOILS |= {f"type of {key}": junk_at(key) for key in TYPES}


def run(redis_url: str, *args: str) -> Result:
    return CliRunner().invoke(main, args, env={"GEMINI_API_KEY": "k", "REDIS_URL": redis_url})


@pytest.fixture(params=SPOILS)
def spoilt(client: "redis.Redis", request: pytest.FixtureRequest) -> str:
    """An inbox with a batch in each state, and one spoilt place."""
    fill(client)
    SPOILS[request.param](client)
    name: str = request.param
    return name


def left(spoilt: str) -> set[str]:
    """The states whose batches can still be known."""
    lost = {
        f"type of {DUE}": {"open", "leased"},
        f"type of {BURIED}": {"buried"},
        f"type of {DONE}": {"done"},
    }
    return {"open", "leased", "buried", "done"} - lost.get(spoilt, set())


def test_commands_show_the_rest(spoilt: str, redis_url: str) -> None:
    overview = json.loads(run(redis_url, "status", "--json").stdout)
    assert (overview["buried"] >= 1) is ("buried" in left(spoilt))
    assert "in short" in run(redis_url, "status").stdout
    listed = run(redis_url, "inbox", "list", "--json")
    assert {one["batch"] for one in json.loads(listed.stdout)} == {
        f"batches/{state}" for state in left(spoilt)
    }
    for args in (["inbox", "list"], ["inbox", "deliveries"], ["notices", "list"]):
        result = run(redis_url, *args)
        assert (result.exit_code, result.exception) == (0, None), args


def test_page_and_metrics_show_the_rest(spoilt: str, client: "redis.Redis") -> None:
    fields = read_fields(client, read_settings({"GEMINI_API_KEY": "k"}).projects.values())
    assert fields["gbr_redis_up"] == 1
    snapshot = read_snapshot(client, [""])
    shown = {
        row.name for rows in (snapshot.buried, snapshot.stored, snapshot.waiting) for row in rows
    }
    assert shown == {f"batches/{state}" for state in left(spoilt) - {"leased"}}
    # the page without a browser, as our script asks for it
    request = Request({"type": "http", "headers": [(FRAGMENT.encode(), b"1")]})
    history = read_history(client, DAY)
    Pages().render(request, "overview.html", snapshot=snapshot, history=history, visitor=None)
    for state in ("open", "buried", "done"):
        list_batches(client, read_search({"state": state}), [""])
    for row in read_delivery_page(client, "", "", 1).rows:
        assert read_delivery_details(client, row.ref) is not None
    read_notice_page(client, {}, "", 1)
    read_buried(client, None, "no such")


def test_sweep_and_delivery_go_on(spoilt: str, client: "redis.Redis") -> None:
    if spoilt == f"type of {DUE}":
        pytest.skip("nothing can be accepted there: the sender is told to come again")
    inbox = Inbox(client)
    assert inbox.accept([Arrival("batches/new", "batch.succeeded", "static", "v1:msg_new")]) == [
        True
    ]
    client.hdel("gbr:entry:batches/new", "rung_until")
    sweep([inbox], JobQueue(client))
    assert client.hexists("gbr:entry:batches/new", "rung_until")
    InboxQueries(client).unsettled()
    lock = ReconcileLock(client, 900)
    assert lock.is_due()
    assert lock.acquire() is not None


@pytest.mark.parametrize("place", ["due", "buried", "done"])
def test_odd_member_is_named(client: "redis.Redis", redis_url: str, place: str) -> None:
    SPOILS[place](client)
    result = run(redis_url, "status")
    assert result.exit_code == 1
    assert (
        f"gbr:{place} in Redis has 1 member that is no text, such as batches/\\xff\\xfe"
        in result.stderr
    )


@pytest.mark.parametrize("key", [DUE, BURIED, DELIVERIES, RECONCILE])
def test_key_of_another_type_is_named(client: "redis.Redis", redis_url: str, key: str) -> None:
    client.set(key, "junk")
    assert f"the key {key} in Redis is a string instead of a" in run(redis_url, "status").stderr


def test_delivery_heals_an_entry_of_no_hash(client: "redis.Redis") -> None:
    client.set("gbr:entry:batches/odd", "junk")
    assert Inbox(client).accept([Arrival("batches/odd", "batch.succeeded", "static")]) == [True]
    assert client.hget("gbr:entry:batches/odd", "state") == b"open"
