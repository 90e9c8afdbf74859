"""`submissions watch`: until all have ended, and how that is told."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.sandbox.processes import allocate_port, stop
from deploy.sandbox.valkey import start_valkey
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import SUBMISSIONS
from tests.receiver.cli.submissions.conftest import Desk

FAST = ("--interval", "0.1")


def test_answered_ones_are_well(desk: Desk) -> None:
    one = desk.submit("evening")
    desk.end(one, answered=20)
    result = desk.run("submissions", "watch", one.id, *FAST)
    assert result.exit_code == 0, result.output
    assert "  completed; 20 of 20 requests answered" in result.stdout
    rows = desk.folder / "outputs" / "_submissions" / one.id / "answers.jsonl"
    assert f"the outcome of each request is in {rows}" in result.stderr
    assert result.stderr.endswith("1 of 1 submission is well\n")


def test_what_is_not_answered_is_exit_code_1(desk: Desk) -> None:
    completed, stopped = desk.submit("evening"), desk.submit("morning")
    desk.end(completed, answered=19)
    desk.end(stopped, answered=19, reason="rounds")
    for one in (completed, stopped):
        assert desk.run("submissions", "watch", one.id, *FAST).exit_code == 1
    both = desk.run("submissions", "watch", completed.id, stopped.id, *FAST)
    assert both.stderr.endswith("0 of 2 submissions are well\n")
    assert (
        f"`gemini-batch-receiver submissions resume {stopped.id} --rounds 4` goes on" in both.stderr
    )


def test_time_runs_out(desk: Desk) -> None:
    one = desk.submit("evening")
    desk.send(one, 1, "a")
    result = desk.run("submissions", "watch", "--timeout", "0", *FAST)
    assert result.exit_code == 1
    assert f"{desk.name(one)}: not done yet: running" in result.stderr


def test_submission_that_is_buried_is_waited_for_no_longer(desk: Desk) -> None:
    one, ended, started = desk.submit("evening"), desk.submit("morning"), time.monotonic()
    desk.end(ended, answered=20)
    Inbox(desk.client, ledger=SUBMISSIONS).bury_by_hand([str(desk.name(one))], "its plan is gone")
    result = desk.run("submissions", "watch", one.id, ended.id, "--timeout", "20", *FAST)
    assert (result.exit_code, time.monotonic() - started < 20) == (1, True)
    assert f"{desk.name(one)}: not done yet: buried: its plan is gone" in result.stderr
    assert f"submissions resume {one.id}` tries again" in result.stderr
    assert result.stderr.endswith("1 of 2 submissions are well\n")


def test_submission_whose_last_batch_is_buried_is_waited_for_no_longer(desk: Desk) -> None:
    one, started = desk.submit("evening", parts=2), time.monotonic()
    desk.store(desk.send(one, 1, "a"), ok=10)
    batch, inbox = desk.send(one, 2, "b"), Inbox(desk.client)
    inbox.accept([Arrival(batch, "batch.succeeded", "static")])
    inbox.bury_by_hand([batch], "wrong prompt")
    result = desk.run("submissions", "watch", one.id, "--timeout", "30", *FAST)
    assert (result.exit_code, time.monotonic() - started < 30) == (1, True)
    assert f"part 2 is buried (wrong prompt): `gemini-batch-receiver inbox retry {batch}`" in (
        result.stderr
    )


def test_nothing_to_watch_is_told(desk: Desk) -> None:
    desk.end(desk.submit("evening"), answered=20)
    desk.client.flushall()
    result = desk.run("submissions", "watch", *FAST)
    assert result.exit_code == 0
    assert "nothing to watch: no submission is under way" in result.stderr


@contextmanager
def watching(desk: Desk, *args: str) -> "Iterator[subprocess.Popen[str]]":
    argv = [sys.executable, "-m", "workers", "submissions", "watch", *args, *FAST]
    with subprocess.Popen(
        argv, env=dict(desk.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("as_json", [False, True])
def test_each_change_is_a_line(desk: Desk, as_json: bool) -> None:  # noqa: FBT001 - a case
    one = desk.submit("evening", parts=1)
    with watching(desk, one.id, *(["--json"] if as_json else [])) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        batch = desk.send(one, 1, "a")
        second = process.stdout.readline()
        desk.store(batch, ok=10)
        desk.end(one, answered=10)
        rest = process.stdout.read().splitlines()
        assert process.wait(20) == 0
    if as_json:
        views = [json.loads(line) for line in (first, second, rest[-1])]
        assert [view["state"] for view in views] == ["waiting", "running", "completed"]
        assert views[1]["parts"][0]["batch"] == batch
        assert views[2]["answered"] == 10
    else:
        assert "  waiting; 0 of 10 requests answered; 0 of 1 part is sent" in first
        assert "; 0 of 10 done at Gemini" in second
        assert "  completed; 10 of 10 requests answered" in rest[-1]


def test_ctrl_c_stops_only_the_watching(desk: Desk) -> None:
    one = desk.submit("evening")
    with watching(desk, one.id) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read().endswith("stopped watching; the submissions go on\n")
    assert desk.read("submissions", "show", one.id)["state"] == "waiting"


def test_watching_survives_an_outage(desk: Desk, tmp_path: Path) -> None:
    """Redis is away for a while: that is told, and waited for."""
    one, port = desk.submit("evening"), allocate_port()
    desk.environ = {**desk.environ, "REDIS_URL": f"redis://127.0.0.1:{port}/0"}
    (folder := tmp_path / "valkey").mkdir()
    valkey = start_valkey(folder, port)
    try:
        with watching(desk, one.id) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            assert "no worker is running" in process.stderr.readline()
            stop(valkey)
            assert "Redis did not answer" in process.stderr.readline()
            valkey = start_valkey(folder, port)
            desk.end(one, answered=20)
            assert process.wait(30) == 0
    finally:
        stop(valkey)
