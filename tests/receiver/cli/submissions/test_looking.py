"""`submissions list`, `show`, `queue`: what they say of each state."""

import time
from decimal import Decimal

import msgspec
import pytest
from rq import Worker
from rq.serializers import JSONSerializer

from receiver.inbox.job_queue import open_queue
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import SUBMISSIONS
from receiver.outputs.manifest import Record
from receiver.rows.keeping import record_object
from receiver.rows.plan import RowsRecord
from receiver.settings.settings import read_settings
from receiver.submissions.policy import Order, Policy
from receiver.submissions.quotas import Quotas
from receiver.submissions.records import Round
from receiver.submissions.submission import Part
from tests.receiver.cli.submissions.conftest import Desk

TITLES = "submission name state age parts rounds answered cost limit"


def test_list_says_how_far_each_is(desk: Desk) -> None:
    old = desk.submit("the old one")
    desk.end(old, answered=20)
    new = desk.submit("the new one", policy=Policy(max_cost=Decimal(40)))
    desk.store(desk.send(new, 1, "stored"), cost="1.25", ok=8, error=2)
    desk.send(new, 2, "running")
    desk.wait_for(new, "1 batch is under way")
    desk.submit("elsewhere", project="acme")

    rows = desk.read("submissions", "list")
    assert [row["display_name"] for row in rows] == ["elsewhere", "the new one", "the old one"]
    assert [row["state"] for row in rows] == ["waiting", "running", "completed"]
    assert [(row["answered"], row["requests"]) for row in rows] == [(0, 20), (8, 20), (20, 20)]
    assert rows[1]["cost"] == "1.25"

    result = desk.run("submissions", "list")
    head, _, second, _ = result.stdout.splitlines()
    assert head.split() == [*TITLES.split(), "why"]
    words = f"{new.id} the new one running 0s 2/2 0 8/20 $1.25 $40.00 1 batch is under way"
    assert second.split() == words.split()
    assert result.stderr == "3 submissions\n"


def test_list_is_bounded_and_chosen(desk: Desk) -> None:
    for name in ("one", "two", "three"):
        desk.submit(name)
    desk.submit("other", project="acme")
    ended = desk.submit("ended")
    desk.end(ended, answered=1, reason="rounds")

    def names(*options: str) -> list[str]:
        return [row["display_name"] for row in desk.read("submissions", "list", *options)]

    assert names("--limit", "2") == ["ended", "other"]
    assert names("--state", "stopped", "--state", "completed") == ["ended"]
    assert names("--project", "default", "--limit", "3") == ["ended", "three", "two"]
    assert (
        "there may be more: raise --limit" in desk.run("submissions", "list", "--limit", "2").stderr
    )


def test_former_name_of_the_list_still_works(desk: Desk) -> None:
    desk.submit("evening")
    assert "evening" in desk.run("batches", "submissions", "list").stdout


def test_show_says_what_a_table_saves(desk: Desk) -> None:
    one = desk.submit("evening")
    record = RowsRecord(
        file="rows.csv",
        format="csv",
        table=Record("_rows/t.csv", "00"),
        columns=("id",),
        rows=5_000,
        requests=1_800,
        key="id",
        keys=Record("_rows/k.gz", "00"),
        keys_sha256="00",
        copied_from={"batches/old": 200},
    )
    desk.storage.put_many([(record_object(one.id), msgspec.json.encode(record))])
    words = (
        "rows        5,000 rows ask 1,800 requests, 3,000 share another row's,"
        " 200 have the answer of an earlier submission, 64% fewer to pay"
    )
    assert words in desk.run("submissions", "show", one.id).stdout.splitlines()
    rows = desk.read("submissions", "show", one.id)["rows"]
    assert (rows["copied"], rows["reused"]) == (3_000, 200)
    assert desk.read("submissions", "show", desk.submit("plain").id)["rows"] is None


def test_show_says_what_it_waits_for_and_where_answers_lie(desk: Desk) -> None:
    policy = Policy(max_cost=Decimal("2.50"), rescue_after_s=108_000)
    one = desk.submit("evening", parts=3, policy=policy, most_cost=Decimal("0.75"))
    desk.store(desk.send(one, 1, "a"), cost="0.5", ok=9, error=1)
    desk.send(one, 2, "b")
    desk.wait_for(one, "part 3 has about 3,000 tokens, and 10 may be enqueued now")

    lines = desk.run("submissions", "show", one.id).stdout.splitlines()
    assert "state       running: part 3 has about 3,000 tokens, and 10 may be enqueued now" in lines
    assert "progress    9 of 30 requests answered; 2 of 3 parts are sent" in lines
    assert "cost        $0.50 so far, at most $1.25 with what is sent, limit $2.50" in lines
    rows = desk.folder / "outputs" / "_submissions" / one.id / "answers.jsonl"
    assert f"answers     {rows} (at its end)" in lines
    assert "part 1: batches/a: stored, 9 of 10 requests answered, $0.50" in lines
    assert "part 2: batches/b: at Gemini, 10 requests, at most $0.75" in lines
    assert "part 3: not sent, 10 requests, at most $0.75" in lines
    assert any("after 30 h the rest of a batch goes as a new batch" in line for line in lines)


def test_show_counts_rounds(desk: Desk) -> None:
    one = desk.submit("evening", parts=1)
    desk.store(desk.send(one, 1, "a"), ok=6, error=4)
    part = Part(2, 0, 0, 10, 4, "ab", round=1)
    desk.records(one).record_round(Round(1, is_rescue=False, parts=(part,)))
    lines = desk.run("submissions", "show", one.id).stdout.splitlines()
    assert "progress    6 of 10 requests answered; 1 of 2 parts are sent in 1 round more" in lines
    assert "round 1, part 2: not sent, 4 requests" in lines


def test_budget_that_would_do_is_named(desk: Desk) -> None:
    policy = Policy(max_cost=Decimal("1.00"))
    one = desk.submit("evening", parts=2, policy=policy, most_cost=Decimal("0.755"))
    desk.store(desk.send(one, 1, "a"), cost="0.5", ok=10)
    desk.end(one, answered=10, reason="budget")
    said = desk.run("submissions", "show", one.id).stderr
    assert said == f"`gemini-batch-receiver submissions resume {one.id} --max-cost 1.26` goes on\n"


def test_budget_for_what_has_no_price_is_none(desk: Desk) -> None:
    one = desk.submit("evening", parts=1, policy=Policy(max_cost=Decimal(1)))
    desk.end(one, answered=0, reason="budget")
    assert "--max-cost none` goes on" in desk.run("submissions", "show", one.id).stderr


def test_worker_that_lacks_is_told(desk: Desk) -> None:
    one = desk.submit("evening")
    absent = "no worker is running, so nothing is sent: start `gemini-batch-receiver up`"
    assert absent in desk.run("submissions", "show", one.id).stderr
    worker = Worker([open_queue(desk.client)], serializer=JSONSerializer)
    worker.register_birth()  # type: ignore[no-untyped-call] # RQ's
    assert "no worker" not in desk.run("submissions", "show", one.id).stderr


def test_buried_part_is_named(desk: Desk) -> None:
    one = desk.submit("evening", parts=1)
    batch = desk.send(one, 1, "a")
    inbox = Inbox(desk.client)
    inbox.accept([Arrival(batch, "batch.succeeded", "static")])
    inbox.bury_by_hand([batch], "wrong prompt")
    result = desk.run("submissions", "show", one.id)
    assert "part 1: batches/a: buried: wrong prompt, 10 requests" in result.stdout
    assert f"`gemini-batch-receiver inbox retry {batch}` goes on with part 1" in result.stderr


@pytest.mark.parametrize(("command", "state"), [("pause", "paused"), ("cancel", "cancelling")])
def test_order_is_a_state(desk: Desk, command: str, state: str) -> None:
    one = desk.submit("evening")
    desk.records(one).write_order(Order(command, 5.0))  # type: ignore[arg-type]
    assert desk.read("submissions", "show", one.id)["state"] == state


def test_what_the_inbox_does_not_know_is_found_later(desk: Desk) -> None:
    one = desk.submit("evening")
    desk.client.flushall()
    shown = desk.read("submissions", "show", one.id)
    assert shown["why"] == "the inbox does not know it: the next reconcile run finds it"


def test_buried_submission_is_a_state(desk: Desk) -> None:
    one = desk.submit("evening")
    Inbox(desk.client, ledger=SUBMISSIONS).bury_by_hand([str(desk.name(one))], "its plan is gone")
    shown = desk.read("submissions", "show", one.id)
    assert (shown["state"], shown["why"]) == ("buried", "its plan is gone")


def test_queue_shows_the_line_of_each_model(desk: Desk) -> None:
    first = desk.submit("first", parts=3, most_cost=Decimal("0.75"))
    desk.send(first, 1, "a")
    desk.wait_for(first, "Gemini refused to enqueue more for now")
    desk.submit("second", parts=1)
    desk.submit("other model", model="gemini-3.1-pro-preview", project="acme")
    whole = desk.submit("all sent", parts=1)
    desk.send(whole, 1, "b")
    desk.end(desk.submit("ended"), answered=20)

    lines = desk.read("submissions", "queue")
    assert [(line["project"], line["model"]) for line in lines] == [
        ("", "gemini-3.5-flash"),
        ("acme", "gemini-3.1-pro-preview"),
    ]
    assert (lines[0]["batches"], lines[0]["tokens"]) == (2, 2000)
    waiting = [
        (one["display_name"], one["next_part"], one["unsent"]) for one in lines[0]["waiting"]
    ]
    assert waiting == [("first", 2, 2), ("second", 1, 1)]
    assert lines[0]["waiting"][0]["why"] == "Gemini refused to enqueue more for now"

    result = desk.run("submissions", "queue", "--project", "default")
    head, _, row, _ = result.stdout.splitlines()
    room = "2 batches and 2,000 of 3,000,000 tokens at Gemini"
    assert head == f"default, gemini-3.5-flash: {room}"
    words = "first running 2 2,000 $0.75 2 Gemini refused to enqueue more for now"
    assert row.split() == [str(desk.name(first)), *words.split()]
    assert result.stderr == "2 submissions wait to be sent\n"


def test_queue_says_what_limits_it(desk: Desk) -> None:
    desk.submit("first")
    desk.environ = {**desk.environ, "DAILY_COST_CAP": "12.5", "GEMINI_TIER": "2"}
    settings = read_settings(desk.environ)
    quotas = Quotas(desk.client, desk.storage, settings, "")
    until = quotas.refused("gemini-3.5-flash", time.time(), 600)
    (line,) = desk.read("submissions", "queue")
    assert (line["tokens_limit"], line["day_budget"]) == (400_000_000, "12.5")
    assert line["refused_until"] == pytest.approx(until)
    head, *_ = desk.run("submissions", "queue").stdout.splitlines()
    assert "0 batches and 0 of 400,000,000 tokens at Gemini, $12.50 left today" in head
    assert "Gemini refuses more (429): tried again at 20" in head
