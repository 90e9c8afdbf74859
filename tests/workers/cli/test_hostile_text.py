"""Foreign text in every place that commands print: names, messages, states, causes, file names."""

import doctest
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from receiver import errors
from receiver.cli import main, output
from receiver.inbox.delivery_log import DeliveryLog, RejectedDelivery
from receiver.inbox.entry_fields import Summary
from receiver.inbox.ledger import Arrival, Inbox, Lease
from receiver.notices.outbox import Outbox
from receiver.notices.payloads import Message
from receiver.notices.queue import NoticeQueue
from receiver.storage import LocalStorage
from tests.answering import Answer, answering
from tests.receiver.listing import Listing, serving
from tests.workers.storing import change_manifest, put_input, store

PLANTED = "evil\nFORGED line\r\x1b[2J\x1b]0;t\x07\u202e\u2028\x9b31m\x85\u200b[red]"
TARGET = "0123456789ab"
INBOX = ("done", "buried", "waiting", "open")
# A finish message of a refusal, an error of a line, and an answer, all under hostile keys.
LINES = b"\n".join(
    json.dumps(line).encode()
    for line in (
        {"key": f"1{PLANTED}", "error": {"code": 8, "status": PLANTED, "message": PLANTED}},
        {
            "key": f"2{PLANTED}",
            "response": {"promptFeedback": {"blockReason": PLANTED, "blockReasonMessage": PLANTED}},
        },
        {
            "key": f"3{PLANTED}",
            "response": {
                "candidates": [{"finishReason": PLANTED, "finishMessage": PLANTED}],
                "modelVersion": PLANTED,
            },
        },
        {
            "key": f"4{PLANTED}",
            "response": {
                "candidates": [{"finishReason": "STOP", "content": {"parts": [{"text": PLANTED}]}}]
            },
        },
    )
)


@dataclass(frozen=True)
class Place:
    environ: dict[str, str]
    storage: LocalStorage

    def run(self, *args: str) -> Result:
        return CliRunner().invoke(main, args, env=self.environ)


def hostile_listing() -> Listing:
    listing = Listing()
    listing.page_size = 100
    about = {"displayName": PLANTED, "model": f"models/{PLANTED}"}
    for batch, state in (
        ("b1", "SUCCEEDED"),
        ("running", "RUNNING"),
        ("failed", "FAILED"),
        ("odd", PLANTED),
    ):
        name = listing.add(batch, state)
        listing.operations[name]["metadata"] |= about
        listing.operations[name]["error"] = {"code": 13, "message": PLANTED}
    listing.operations["batches/failed"]["metadata"]["error"] = {"message": PLANTED}
    listing.operations[PLANTED] = {
        "name": PLANTED,
        "metadata": {"state": "BATCH_STATE_SUCCEEDED", "output": {"responsesFile": PLANTED}},
    }
    return listing


def claim(inbox: Inbox, batch: str) -> Lease:
    lease = inbox.claim(batch)
    assert lease is not None
    return lease


def fill_inbox(client: "redis.Redis") -> None:
    inbox = Inbox(client)
    metadata = json.dumps({PLANTED: PLANTED})
    done, buried, waiting, open_one = (f"batches/{name}" for name in INBOX)
    names = (done, buried, waiting, open_one)
    inbox.accept([Arrival(name, "batch.succeeded", "static", metadata=metadata) for name in names])
    summary = Summary(state=PLANTED, display_name=PLANTED, outcomes={PLANTED: 3})
    inbox.finish(claim(inbox, done), summary)
    inbox.bury_by_hand([buried], PLANTED)
    inbox.postpone(claim(inbox, waiting), 60, PLANTED, "outages")
    DeliveryLog(client).add(RejectedDelivery("refused", f":{PLANTED}", cause=PLANTED))
    client.hset(f"gbr:entry:batches/{PLANTED}", mapping={"state": "open", "event": PLANTED})
    client.zadd("gbr:due", {f"batches/{PLANTED}": 1})


def fill_outbox(client: "redis.Redis") -> None:
    outbox, queue = Outbox(client, [TARGET]), NoticeQueue(client, TARGET)
    for batch in ("batches/b1", f"batches/{PLANTED}"):
        outbox.enqueue(batch, Message("batch.buried", {"cause": PLANTED}))
        notice = queue.claim()
        assert notice is not None
        queue.postpone(notice, 60, PLANTED)


@pytest.fixture
def place(client: "redis.Redis", redis_url: str, tmp_path: Path) -> Iterator[Place]:
    storage = LocalStorage(tmp_path / "outputs")
    put_input(storage, b'{"key":"1","request":{}}\n')
    store(storage, LINES, 5, model=f"models/{PLANTED}")
    change_manifest(
        storage, display_name=PLANTED, state=PLANTED, error={"code": 13, "message": PLANTED}
    )
    fill_inbox(client)
    fill_outbox(client)
    with serving(hostile_listing()) as url:
        environ = {"GEMINI_API_KEY": "k", "GEMINI_BASE_URL": url, "REDIS_URL": redis_url}
        yield Place(environ | {"STORAGE_URL": storage.root.as_uri()}, storage)


COMMANDS = (
    "status",
    "doctor",
    "reconcile",
    "replay",
    "replay --dry-run",
    "verify b1",
    "resubmit b1",
    "inbox list",
    "inbox deliveries",
    "inbox show done",
    "inbox show buried",
    "inbox show waiting",
    "inbox show open",
    "notices list",
    "batches list",
    "batches show b1",
    "batches errors b1",
    "batches watch b1 failed odd --interval 0.1 --timeout 1",
    "batches merged b1",
    "batches submissions",
    "batches cancel running odd",
    "batches delete b1 --yes --force",
    "webhooks list",
)


def unprintable(result: Result) -> list[str]:
    return [one for one in result.output if one != "\n" and not one.isprintable()]


def require_plain(result: Result) -> None:
    """No control or direction character but the ends of lines, and no line that was planted."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert unprintable(result) == []
    begun = [line for line in result.output.split("\n") if line.lstrip().startswith("FORGED")]
    assert begun == []


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_moves_the_cursor_or_begins_a_line(place: Place, command: str) -> None:
    require_plain(place.run(*command.split()))


REFUSED = (
    *COMMANDS,
    "webhooks show w1",
    "webhooks ping w1",
    "webhooks doctor",
    "webhooks create --url https://x.example",
    "webhooks delete w1 --yes",
    "replay --batch batches/b9",
    "batches submit requests.jsonl --model m",
)


@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize("command", REFUSED)
def test_message_of_a_refusal_is_one_line(
    place: Place, command: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    row = {"key": "1", "request": {"contents": [{"parts": [{"text": "x"}]}]}}
    (tmp_path / "requests.jsonl").write_text(json.dumps(row))
    body = json.dumps({"error": {"code": 400, "status": PLANTED, "message": PLANTED}}).encode()
    with answering(lambda _path, _headers: Answer(status, body)) as url:
        place.environ["GEMINI_BASE_URL"] = url
        require_plain(place.run(*command.split()))


@pytest.mark.parametrize("asked", [{PLANTED: 1}, {"model": PLANTED}, {"contents": PLANTED}])
def test_faults_of_requests_move_no_cursor(
    place: Place, asked: dict[str, Any], tmp_path: Path
) -> None:
    """Names of fields come from the file, and that may come from others."""
    file = tmp_path / "a\x1b[2J\u202e.jsonl"
    file.write_text(f"{json.dumps({'key': PLANTED, 'request': asked})}\n" * 2)
    result = place.run("batches", "submit", str(file), "--model", "m", "--dry-run")
    assert result.exit_code == 1
    assert "line 1: " in result.stderr
    assert unprintable(result) == []


def test_examples_are_right() -> None:
    assert doctest.testmod(errors).failed == 0
    assert doctest.testmod(output).failed == 0
