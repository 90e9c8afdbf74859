import json

import pytest
import redis

from receiver.inbox.entry_fields import Summary
from receiver.inbox.job_queue import open_queue
from receiver.inbox.ledger import MAX_ATTEMPTS, Arrival, Inbox, Lease
from receiver.inbox.redis import Scripts
from receiver.notices.outbox import Notice, Outbox, read_outbox_status
from receiver.notices.payloads import describe_manifest
from receiver.notices.queue import NoticeQueue
from tests.receiver.notices.conftest import BATCH, STORED
from tests.receiver.outputs.test_manifest import MANIFEST
from tests.waiting import eventually

TARGETS = ["aaaaaaaaaaaa", "bbbbbbbbbbbb"]


@pytest.fixture
def outbox(client: "redis.Redis") -> Outbox:
    return Outbox(client, TARGETS)


def owe(outbox: Outbox) -> list[Notice]:
    outbox.enqueue(BATCH, STORED)
    return outbox.listing()


def kill(client: "redis.Redis", target: str) -> None:
    queue = NoticeQueue(client, target)
    notice = queue.claim()
    assert notice is not None
    queue.mark_dead(notice, "gone")


def claimed(client: "redis.Redis", targets: list[str]) -> tuple[Inbox, Lease]:
    inbox = Inbox(client, targets)
    inbox.accept([Arrival(BATCH, "batch.succeeded", "static")])
    lease = inbox.claim(BATCH)
    assert lease is not None
    return inbox, lease


def test_finished_batch_is_owed_to_everybody(client: "redis.Redis") -> None:
    inbox, lease = claimed(client, TARGETS)
    message = describe_manifest(MANIFEST)
    assert inbox.finish(lease, Summary(outcomes={"ok": 1}), message.encode())
    found = Outbox(client).listing()
    assert sorted(notice.target for notice in found) == TARGETS
    assert {(notice.type, notice.batch, notice.state) for notice in found} == {
        ("results.stored", BATCH, "waiting")
    }
    assert json.loads(found[0].data) == message.data


def test_overdue_batches_are_told_together(client: "redis.Redis") -> None:
    name = "enqueue_overdue_notices"
    run = Scripts(client, [name], targets=TARGETS).run
    rows = [("batches/a", 24, "{}"), ("batches/b", 44, "{}"), ("batches/c", 24, "{}")]
    assert run(name, 60, *(part for row in rows for part in row)) == 6
    assert sorted((one.batch, one.target) for one in Outbox(client).listing()) == [
        (batch, target) for batch, _, _ in rows for target in TARGETS
    ]
    assert run(name, 60, "batches/a", 24, "{}", "batches/a", 44, "{}") == 2


def test_lost_lease_owes_nothing(client: "redis.Redis") -> None:
    inbox, _ = claimed(client, TARGETS)
    assert not inbox.finish(Lease(BATCH, "0", 0, 0, {}), Summary(), STORED.encode())
    assert Outbox(client).listing() == []


def test_nobody_to_tell_writes_nothing(client: "redis.Redis") -> None:
    inbox, lease = claimed(client, [])
    inbox.finish(lease, Summary(), STORED.encode())
    assert list(client.scan_iter("gbr:*notice*")) == []


def test_buried_batch_is_told_with_its_cause(client: "redis.Redis") -> None:
    inbox, lease = claimed(client, TARGETS[:1])
    inbox.bury(lease, 'no such "batch" ä/\n')
    (notice,) = Outbox(client).listing()
    expected = {
        "cause": 'no such "batch" ä/\n',
        "attempts": 0,
        "event": "batch.succeeded",
        "source": "static",
    }
    assert notice.type == "batch.buried"
    assert json.loads(notice.data) | expected == json.loads(notice.data)


def test_burial_at_the_limit_is_told_once(client: "redis.Redis") -> None:
    inbox, lease = claimed(client, TARGETS[:1])
    for number in range(MAX_ATTEMPTS):
        taken = lease if number == 0 else inbox.claim(BATCH)
        assert taken is not None
        inbox.postpone(taken, 0, "boom", "attempts")
    (notice,) = Outbox(client).listing()
    assert json.loads(notice.data) | {"cause": "boom", "attempts": MAX_ATTEMPTS} == json.loads(
        notice.data
    )


def test_burial_by_deaths_is_told(client: "redis.Redis") -> None:
    inbox = Inbox(client, TARGETS[:1])
    inbox.accept([Arrival(BATCH, "batch.succeeded", "static")])
    for _ in range(MAX_ATTEMPTS):
        assert inbox.claim(BATCH, 0.01)
        eventually(inbox.has_due)
    assert inbox.claim(BATCH) is None
    (notice,) = Outbox(client).listing()
    assert "died" in json.loads(notice.data)["cause"]


def test_second_burial_is_another_message(client: "redis.Redis") -> None:
    for cause in ("first", "second"):
        inbox = Inbox(client, TARGETS[:1])
        inbox.accept([Arrival(BATCH, "batch.succeeded", "retry", reopen="all")])
        lease = inbox.claim(BATCH)
        assert lease is not None
        inbox.bury(lease, cause)
    assert len({notice.name for notice in Outbox(client).listing()}) == 2


def test_same_message_is_owed_once(outbox: Outbox) -> None:
    names = [notice.name for notice in owe(outbox)]
    assert [notice.name for notice in owe(outbox)] == names


def test_replayed_message_revives_a_dead_one(outbox: Outbox, client: "redis.Redis") -> None:
    owe(outbox)
    kill(client, TARGETS[0])
    assert {notice.state for notice in owe(outbox)} == {"waiting"}
    assert read_outbox_status(client).dead == 0


def test_standing_counts_what_waits(outbox: Outbox, client: "redis.Redis") -> None:
    assert read_outbox_status(client) == type(read_outbox_status(client))(0, 0, None)
    owe(outbox)
    kill(client, TARGETS[0])
    standing = read_outbox_status(client)
    assert (standing.waiting, standing.dead, standing.oldest_due_s) == (1, 1, 0)
    NoticeQueue(client, TARGETS[1]).claim()
    assert read_outbox_status(client).oldest_due_s is None


def test_dead_notice_is_retried(outbox: Outbox, client: "redis.Redis") -> None:
    dead = owe(outbox)[0]
    kill(client, dead.target)
    assert outbox.retry([dead.name, "nobody/msg_x"]) == [dead.name]
    notice = NoticeQueue(client, dead.target).claim()
    assert notice is not None
    assert (notice.name, notice.tries) == (dead.name, 0)


def test_waiting_notice_need_not_wait(outbox: Outbox, client: "redis.Redis") -> None:
    one = owe(outbox)[0]
    queue = NoticeQueue(client, one.target)
    notice = queue.claim()
    assert notice is not None
    queue.postpone(notice, 3600, "asleep")
    outbox.retry([one.name])
    assert queue.claim() is not None


def test_target_is_listed_while_it_is_owed(outbox: Outbox, client: "redis.Redis") -> None:
    one = owe(outbox)[0]
    client.delete("gbr:notices")  # it has expired: that notice is the last for a month
    outbox.retry([one.name])
    assert [notice.name for notice in outbox.listing()] == [one.name]

    client.delete("gbr:notices")
    queue = NoticeQueue(client, one.target)
    notice = queue.claim()
    assert notice is not None
    queue.postpone(notice, 3600, "asleep")
    assert [notice.name for notice in outbox.listing()] == [one.name]


def test_purged_notice_is_gone(outbox: Outbox, client: "redis.Redis") -> None:
    one, other = owe(outbox)
    kill(client, one.target)
    assert sorted(outbox.purge([one.name, other.name, "nobody/msg_x"])) == sorted(
        [one.name, other.name]
    )
    assert outbox.listing() == []
    assert read_outbox_status(client).dead == read_outbox_status(client).waiting == 0


def test_batches_go_on_beside_it(client: "redis.Redis") -> None:
    """Notices are none of RQ's business."""
    inbox, lease = claimed(client, TARGETS)
    inbox.finish(lease, Summary(), STORED.encode())
    assert open_queue(client).count == 0
    assert not inbox.has_due()
