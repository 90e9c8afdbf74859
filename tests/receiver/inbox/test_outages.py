"""What waits is told in one row for each kind, whatever somebody else wrote into Redis."""

import redis

from receiver.inbox.outages import MAX_READ, Outage, find_outages
from receiver.inbox.redis import DUE, ENTRY, SCAN_SIZE
from receiver.status.problems import describe_outage


def put(client: "redis.Redis", name: str, **fields: str | int) -> None:
    client.zadd(DUE, {name: 1e15})
    for field, value in fields.items():
        client.hset(ENTRY + name, field, value)


def test_nothing_waits_in_an_empty_inbox(client: "redis.Redis") -> None:
    assert find_outages(client) == []


def test_each_kind_is_one_row(client: "redis.Redis") -> None:
    put(client, "batches/a", outages_since=2000, cause="503")
    put(client, "batches/b", outages_since=1000, cause="the oldest")
    put(client, "batches/c", refusals_since=3000, cause="404")
    put(client, "batches/d", outages_since=500, refusals_since=4000, cause="404 after an outage")
    put(client, "batches/e", cause="boom")
    assert find_outages(client) == [
        Outage("outage", 2, 1000, "the oldest"),
        Outage("refusal", 2, 3000, "404"),
    ]


def test_foreign_members_hide_nothing(client: "redis.Redis") -> None:
    client.zadd(DUE, {b"\xff\xfe": 1})
    client.zadd(DUE, {"batches/text": 1})
    client.set(ENTRY + "batches/text", "of another type")
    put(client, "batches/junk", outages_since="soon")
    put(client, "batches/a", outages_since=2000, cause="503")
    assert find_outages(client) == [Outage("outage", 1, 2000, "503")]


def test_first_of_equal_ones_gives_the_cause(client: "redis.Redis") -> None:
    put(client, "batches/a", outages_since=2000, cause="503")
    put(client, "batches/b", outages_since=2000, cause="504")
    assert find_outages(client) == [Outage("outage", 2, 2000, "503")]


def test_outage_without_a_cause_is_told(client: "redis.Redis") -> None:
    put(client, "batches/a", outages_since=2000)
    assert find_outages(client) == [Outage("outage", 1, 2000, "")]


def put_many(client: "redis.Redis", count: int) -> None:
    pipeline = client.pipeline(transaction=False)
    for number in range(count):
        name = f"batches/{number}"
        pipeline.zadd(DUE, {name: number})
        pipeline.hset(
            ENTRY + name, mapping={"outages_since": 5000 - number % 3000, "cause": f"503 of {name}"}
        )
    pipeline.execute()


def test_all_that_wait_are_counted(client: "redis.Redis") -> None:
    put_many(client, 2 * SCAN_SIZE)
    assert find_outages(client) == [Outage("outage", 2 * SCAN_SIZE, 2001, "503 of batches/2999")]


def test_ten_thousands_are_not_all_counted(client: "redis.Redis") -> None:
    """Reading 50,000 entries one by one kept the status page waiting for seconds."""
    put_many(client, MAX_READ + 1)
    (outage,) = find_outages(client)
    assert (outage.batches, outage.is_all) == (MAX_READ, False)
    assert describe_outage(outage, outage.since_ms).startswith(
        "at least 20,000 wait for Gemini or the storage, for 0s"
    )
