"""An inbox with enough of everything that each tab has rows to show."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

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
from tests.receiver.status.test_submission_pages import accept, plan

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


def fill_tabs(client: "redis.Redis", each: int = 20) -> None:
    """So many batches of each state, and at Gemini, deliveries and notices."""
    inbox = Inbox(client)
    for n in range(each):
        fill_states(inbox, n)
    add_deliveries(client, each)
    add_notices(client, each)
    watch_gemini(client, each)


def fill_states(inbox: Inbox, n: int) -> None:
    """One batch that is being split, one that waits, one buried, one stored."""
    name, cause = NAMES[n % len(NAMES)], CAUSES[n % len(CAUSES)]
    inbox.postpone(claimed(inbox, f"batches/wait-{n}-q8zr"), 3600 + n, cause, "attempts")
    inbox.bury(claimed(inbox, f"batches/lost-{n}-q8zr"), cause)
    progress = JobProgress(
        stage="split",
        display_name=name,
        bytes=6_000_000 * (n + 1),
        total_bytes=140_000_000,
        lines=1_300 * (n + 1),
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
        missing=0,
        balanced=True,
        outcomes={"ok": 1180, "blocked": 8, "truncated": 7, "error": 5} if n % 2 else {"ok": 1200},
        cost=Cost("USD", "0.4371", "2026-10-07", "0.1", "0", "0.3371"),
        problems=["5 errors"] if n % 2 else [],
    )
    inbox.finish(claimed(inbox, f"batches/kept-{n}-q8zr"), summary)


def add_deliveries(client: "redis.Redis", count: int) -> None:
    for n in range(count):
        delivered = name_delivery("", "v1", f"msg_2KWPBgLlAfxdpx2AI54pPJ85f4W{n}")
        arrival = Arrival(f"batches/kept-{n}-q8zr", "batch.succeeded", "static", delivered)
        Inbox(client).accept([arrival])
    cause = "the signature is not one of GEMINI_WEBHOOK_SECRET"
    DeliveryLog(client).add(RejectedDelivery("refused", "v1:msg_forged", cause=cause))


def add_notices(client: "redis.Redis", count: int) -> None:
    for n in range(count):
        message = Message("batch.buried", {})
        Outbox(client, [TARGET]).enqueue(f"batches/lost-{n}-q8zr", message)
    queue = NoticeQueue(client, TARGET)
    for _ in range(2):
        if notice := queue.claim():
            queue.mark_dead(notice, "https://hooks.example.com answered 410 Gone")


def watch_gemini(client: "redis.Redis", count: int) -> None:
    """As a reconcile run does: some of these are overdue."""
    watch = RunningWatch()
    for n in range(count):
        created = datetime.now(UTC) - timedelta(hours=2 * n, minutes=12)
        metadata = {
            "displayName": NAMES[n % len(NAMES)],
            "state": "BATCH_STATE_RUNNING" if n else "BATCH_STATE_PENDING",
            "createTime": created.isoformat(),
            "batchStats": {"requestCount": "1200", "pendingRequestCount": str(60 * n)},
        }
        found = {"name": f"batches/far-{n}-q8zr", "metadata": metadata}
        watch.see(read_batch(json.dumps(found).encode(), ""))
    watch.note(client, "", now_ms(client), 900)


def fill_submissions(redis_url: str, folder: Path, count: int) -> None:
    """So many submissions, each of two parts; the storage is below the folder."""
    for n in range(count):
        accept(redis_url, plan(folder, f"{NAMES[n % len(NAMES)]} {n}"))
