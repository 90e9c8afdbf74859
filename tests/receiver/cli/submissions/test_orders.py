"""`submissions pause`, `resume`, `cancel`: the last word holds, and a worker hears of it."""

from decimal import Decimal
from pathlib import Path

import pytest

from receiver.inbox.ledger import Inbox
from receiver.inbox.redis import SUBMISSIONS
from receiver.submissions.policy import Policy
from receiver.submissions.records import list_submissions
from receiver.submissions.state import StopReason
from receiver.submissions.submission import Submission
from tests.receiver.cli.submissions.conftest import MODEL, Desk


def is_due(desk: Desk, submission: Submission) -> bool:
    inbox = Inbox(desk.client, ledger=SUBMISSIONS)
    return inbox.claim(str(desk.name(submission))) is not None


def test_pause_and_resume(desk: Desk) -> None:
    one = desk.submit("evening")
    desk.wait_for(one, "1 batch is under way")
    result = desk.run("submissions", "pause", "evening")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{desk.name(one)}: paused: nothing more is sent")
    assert desk.records(one).read_order().command == "pause"
    assert is_due(desk, one)
    assert "it was paused before" in desk.run("submissions", "pause", one.id).stdout

    (resumed,) = desk.read("submissions", "resume", one.id)
    assert (resumed["done"], desk.records(one).read_order().command) == (True, "run")
    assert "it is under way already" in desk.run("submissions", "resume", one.id).stdout


def test_resume_digs_up_what_is_buried(desk: Desk) -> None:
    one = desk.submit("evening")
    Inbox(desk.client, ledger=SUBMISSIONS).bury_by_hand([str(desk.name(one))], "its plan is gone")
    assert not is_due(desk, one)
    said = desk.run("submissions", "resume", one.id).stdout
    assert said == f"{desk.name(one)}: it is under way already: a worker looks at it now\n"
    assert is_due(desk, one)


def test_resume_changes_only_what_is_stated(desk: Desk) -> None:
    one = desk.submit("evening", policy=Policy(rounds=1, max_cost=Decimal(3), explain_invalid=True))
    ordered = desk.records(one).read_order()
    result = desk.run("submissions", "resume", one.id, "--rounds", "5")
    assert "it goes on: up to 5 rounds after the first sending, at most $3.00" in result.stdout
    expected = Policy(rounds=5, max_cost=Decimal(3), explain_invalid=True)
    assert desk.records(one).read_policy() == expected
    assert desk.records(one).read_order() == ordered  # it runs: a new order would end nothing anew
    desk.run("submissions", "resume", one.id, "--max-cost", "none")
    assert desk.records(one).read_policy().max_cost is None


@pytest.mark.parametrize(
    ("reason", "vain", "fruitful"),
    [
        ("rounds", ["--rounds", "1"], ["--rounds", "2"]),
        ("budget", ["--max-cost", "2"], ["--max-cost", "2.01"]),
        ("budget", ["--rounds", "9"], ["--max-cost", "none"]),
        ("budget", [], ["--allow-unknown-cost"]),
    ],
)
def test_what_stopped_at_a_limit_needs_a_higher_one(
    desk: Desk, reason: StopReason, vain: list[str], fruitful: list[str]
) -> None:
    one = desk.submit("evening", policy=Policy(rounds=1, max_cost=Decimal(2)))
    desk.end(one, answered=12, reason=reason)
    refused = desk.run("submissions", "resume", one.id, *vain)
    assert refused.exit_code == 1
    assert f"allow more with --{'rounds' if reason == 'rounds' else 'max-cost'}" in refused.stderr
    assert desk.read("submissions", "show", one.id)["state"] == "stopped"

    resumed = desk.run("submissions", "resume", one.id, *fruitful)
    assert resumed.exit_code == 0, resumed.stderr
    assert desk.read("submissions", "show", one.id)["state"] == "waiting"
    assert is_due(desk, one)


def test_cancelled_one_goes_on_as_it_was(desk: Desk) -> None:
    one = desk.submit("evening")
    desk.end(one, answered=12, reason="cancelled")
    assert desk.run("submissions", "resume", one.id).exit_code == 0
    assert desk.read("submissions", "show", one.id)["state"] == "waiting"


@pytest.mark.parametrize("command", [("pause",), ("cancel", "--yes"), ("resume", "--rounds", "9")])
def test_completed_one_takes_no_order(desk: Desk, command: tuple[str, ...]) -> None:
    one = desk.submit("evening")
    desk.end(one, answered=20)
    name, *options = command
    result = desk.run("submissions", name, one.id, *options)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "completed" in result.stderr
    assert desk.read("submissions", "show", one.id)["state"] == "completed"


def test_cancel_asks_first(desk: Desk) -> None:
    one = desk.submit("evening")
    refused = desk.run("submissions", "cancel", "evening")
    assert refused.exit_code == 2
    assert "this would cancel 1 submission of 20 requests: add --yes" in refused.stderr
    assert desk.records(one).read_order().command == "run"
    done = desk.run("submissions", "cancel", "evening", "--yes")
    assert "cancelled: what is answered already is kept" in done.stdout
    assert desk.records(one).read_order().command == "cancel"


def test_order_holds_while_redis_is_away(desk: Desk) -> None:
    one = desk.submit("evening")
    away = desk.run("submissions", "pause", one.id, REDIS_URL="redis://127.0.0.1:9/0")
    assert away.exit_code == 1
    assert "so a worker hears of it with the next reconcile run" in away.stderr
    assert desk.records(one).read_order().command == "pause"


def test_each_of_several_is_told(desk: Desk) -> None:
    one, ended = desk.submit("evening"), desk.submit("morning")
    desk.end(ended, answered=20)
    result = desk.run("submissions", "pause", "evening", "morning")
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{desk.name(one)}: paused")
    assert result.stderr == f"{desk.name(ended)}: it has ended: completed\n"


@pytest.mark.parametrize("reason", ["budget", None])
def test_stopped_one_goes_on_when_it_is_submitted_with_more(
    desk: Desk, source: Path, reason: StopReason | None
) -> None:
    words = ("batches", "submit", str(source), "--model", MODEL)
    assert desk.run(*words, "--max-cost", "5").exit_code == 0
    (one,) = list_submissions(desk.storage)
    desk.end(one, answered=3, reason=reason)
    desk.client.flushall()

    again = desk.run(*words)
    assert "it has ended: `gemini-batch-receiver submissions show" in again.stderr
    assert not is_due(desk, one)
    more = desk.run(*words, "--max-cost", "9")
    assert more.exit_code == 0, more.output
    assert ("it had stopped, and goes on under this policy" in more.stderr) == bool(reason)
    assert is_due(desk, one) == bool(reason)
