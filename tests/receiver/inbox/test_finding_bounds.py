"""Among 100,000 batches a page costs as many reads as it may, whatever is looked for."""

from collections.abc import Iterator

import pytest
import redis

from receiver.inbox.finding import CHUNK, MAX_LOOKED, BatchFilter, FoundBatches, find_batches
from receiver.inbox.redis import DONE, ENTRY, connect

STORED = 100_000
LIMIT = 50
FILL = """
local summary = '{"state":"SUCCEEDED","display_name":"evening %d","model":"models/gemini-3.5-flash",'
  .. '"requests":1000,"outcomes":{"ok":990,"error":10},"missing":0,"balanced":true,'
  .. '"problems":["10 results are no answer: 10 errors"]}'
for number = ARGV[1], ARGV[2] do
  local name = string.format('batches/b%06d', number)
  redis.call('ZADD', KEYS[1], number, name)
  redis.call('HSET', KEYS[2] .. name, 'state', 'done', 'event', 'batch.succeeded', 'door', 'static',
    'attempts', 0, 'waits', 0, 'accepted', number, 'changed', number,
    'summary', string.format(summary, number))
end
"""


def fill(client: "redis.Redis", count: int = STORED) -> None:
    """So many stored batches, a millisecond apart: `b000001`, called "evening 1", is the oldest."""
    for start in range(1, count + 1, 5000):
        client.eval(FILL, 2, DONE, ENTRY, start, min(start + 4999, count))


@pytest.fixture(scope="module")
def full(valkey_url: str) -> "Iterator[redis.Redis]":
    with connect(valkey_url) as client:
        client.flushall()
        fill(client)
        yield client
        client.flushall()


def ask(client: "redis.Redis", wanted: BatchFilter, cursor: str = "") -> FoundBatches:
    """One page, which costs no more than it may."""
    client.config_resetstat()
    found = find_batches(client, wanted, LIMIT, cursor)
    calls = {name: row["calls"] for name, row in client.info("commandstats").items()}
    # One for each of the other sets, and one that Redis does not know yet.
    assert calls.get("cmdstat_evalsha", 0) <= MAX_LOOKED / CHUNK + 3
    assert calls.get("cmdstat_hgetall", 0) <= LIMIT
    assert calls.get("cmdstat_hmget", 0) <= MAX_LOOKED
    assert found.looked <= MAX_LOOKED
    return found


def test_first_page_reads_what_it_shows(full: "redis.Redis") -> None:
    found = ask(full, BatchFilter())
    assert [entry.batch for entry in found.entries] == [
        f"batches/b{number:06}" for number in range(STORED, STORED - LIMIT, -1)
    ]
    assert found.looked == LIMIT + 1


def test_what_is_nowhere_costs_a_bounded_page_after_the_other(full: "redis.Redis") -> None:
    looked, cursor, found = list[int](), "", None
    while found is None or cursor:
        found = ask(full, BatchFilter(text="nosuch"), cursor)
        assert found.entries == []
        looked.append(found.looked)
        cursor = found.cursor
    assert looked == [MAX_LOOKED, MAX_LOOKED, MAX_LOOKED, STORED - 3 * MAX_LOOKED]


def test_oldest_one_is_found_by_going_on_and_by_its_time(full: "redis.Redis") -> None:
    found = ask(full, BatchFilter(text="b000001"))
    while not found.entries:
        found = ask(full, BatchFilter(text="b000001"), found.cursor)
    assert [entry.batch for entry in found.entries] == ["batches/b000001"]
    assert ask(full, BatchFilter(text="evening 1", until_ms=1)).looked == 1
    assert ask(full, BatchFilter(text="b000001", order="oldest")).entries
