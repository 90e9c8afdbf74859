"""An inbox with enough of everything that each tab has rows to show."""

import json
from datetime import UTC, datetime, timedelta

import redis

from receiver.gemini.operations import read_batch
from receiver.inbox.delivery_log import DeliveryLog, RejectedDelivery, name_delivery
from receiver.inbox.entry_fields import JobProgress, Summary
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import now_ms
from receiver.notices.outbox import Outbox
from receiver.notices.payloads import Message
from receiver.notices.queue import NoticeQueue
from receiver.notices.running_batches import RunningWatch
from receiver.outputs.manifest import Cost
from tests.receiver.inbox.test_queries import claimed

EACH = 5  # batches of each state
TARGET = "0123456789ab"
CAUSES = (
    "Gemini answered 503 UNAVAILABLE: The model is overloaded. Please try again later.",
    "the storage refuses the key: AccessDenied for s3://acme-answers/nightly, see the bucket policy",
)
NAMES = (
    "product captions",
    "support tickets",
    "translations (de)",
    "nightly summaries of the customer interviews, third attempt with the new prompt",
    "invoice fields",
)


def fill_tabs(client: "redis.Redis") -> list[str]:
    """As many batches of each state, at Gemini too, with deliveries and notices; gives the names."""
    inbox = Inbox(client)
    for n in range(EACH):
        fill_states(inbox, n)
    add_deliveries(client)
    add_notices(client)
    watch_gemini(client)
    return [
        f"batches/{state}-{n}-q8zr"
        for state in ("run", "wait", "lost", "kept")
        for n in range(EACH)
    ]


def fill_states(inbox: Inbox, n: int) -> None:
    """One batch that is being split, one that waits, one buried, one stored."""
    name, cause = NAMES[n], CAUSES[n % len(CAUSES)]
    inbox.postpone(claimed(inbox, f"batches/wait-{n}-q8zr"), 3600 + n, cause, "attempts")
    inbox.bury(claimed(inbox, f"batches/lost-{n}-q8zr"), cause)
    progress = JobProgress(
        stage="split",
        display_name=name,
        bytes=24_000_000 * (n + 1),
        total_bytes=140_000_000,
        lines=5_200 * (n + 1),
        requests=30_000,
    )
    inbox.renew(claimed(inbox, f"batches/run-{n}-q8zr"), progress=progress)
    ended = datetime.now(UTC) - timedelta(minutes=n)
    summary = Summary(
        state="SUCCEEDED",
        display_name=name,
        model="models/gemini-3.8-flash",
        created=(ended - timedelta(hours=3, minutes=n)).isoformat(),
        ended=ended.isoformat(),
        requests=1200,
        outcomes={"ok": 1180, "blocked": 8, "truncated": 7, "error": 5} if n % 2 else {"ok": 1200},
        cost=Cost("USD", "0.4371", "2026-10-07", "0.1", "0", "0.3371"),
        problems=["5 errors"] if n % 2 else [],
    )
    inbox.finish(claimed(inbox, f"batches/kept-{n}-q8zr"), summary)


def add_deliveries(client: "redis.Redis") -> None:
    for n in range(4 * EACH):
        delivered = name_delivery("", "v1", f"msg_2KWPBgLlAfxdpx2AI54pPJ85f4W{n}")
        arrival = Arrival(f"batches/kept-{n % EACH}-q8zr", "batch.succeeded", "static", delivered)
        Inbox(client).accept([arrival])
    cause = "the signature is not one of GEMINI_WEBHOOK_SECRET"
    DeliveryLog(client).add(RejectedDelivery("refused", "v1:msg_forged", cause=cause))


def add_notices(client: "redis.Redis") -> None:
    for n in range(4 * EACH):
        message = Message("batch.buried", {})
        Outbox(client, [TARGET]).enqueue(f"batches/lost-{n % EACH}-q8zr", message)
    queue = NoticeQueue(client, TARGET)
    for _ in range(2):
        if notice := queue.claim():
            queue.mark_dead(notice, "https://hooks.example.com answered 410 Gone")


def watch_gemini(client: "redis.Redis") -> None:
    """As a reconcile run does: some of these are overdue."""
    watch = RunningWatch()
    for n, name in enumerate(NAMES):
        created = datetime.now(UTC) - timedelta(hours=9 * n, minutes=12)
        metadata = {
            "displayName": name,
            "state": "BATCH_STATE_RUNNING" if n else "BATCH_STATE_PENDING",
            "createTime": created.isoformat(),
            "batchStats": {"requestCount": "1200", "pendingRequestCount": str(300 * n)},
        }
        found = {"name": f"batches/far-{n}-q8zr", "metadata": metadata}
        watch.see(read_batch(json.dumps(found).encode(), ""))
    watch.note(client, "", now_ms(client), 900)
