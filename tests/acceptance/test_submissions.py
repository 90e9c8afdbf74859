"""Submit, close the laptop, be told, open the answers: with every process real."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.sandbox.processes import allocate_port
from tests.acceptance.conftest import World
from tests.acceptance.test_main_job import run
from tests.notice_receiver import read_received, running_receiver
from tests.receiver.forging import SECRET_TEXT
from tests.running import CLIENT, answers, running_program, running_sandbox, set_faults
from tests.waiting import eventually

MODEL = "gemini-3.8-flash"
TEXTS = {
    **{f"plain-{number}": "Say something" for number in range(8)},
    "unavailable": "[sandbox:error 14 x1]",
    "empty-twice": "[sandbox:empty x2]",
    "too-long": "[sandbox:truncated 300]",
    "not-allowed": "[sandbox:blocked]",
    "wrong": "[sandbox:error 3]",
    "last": "Say something",
}
OUTCOMES = dict.fromkeys(TEXTS, "ok") | {"not-allowed": "blocked", "wrong": "error"}
ROUNDS = dict.fromkeys(TEXTS, 0) | {"unavailable": 1, "empty-twice": 2, "too-long": 2}
SETTLE_S = 90


@pytest.fixture
def paying(world: World, tmp_path: Path) -> Iterator[World]:
    """A world whose stand-in of Gemini keeps what was paid for."""
    folder = tmp_path / "gemini"
    folder.mkdir()
    options = ("--pending", "0.05", "--running", "0.05", "--retry-base", "0.2", "--payments")
    with running_sandbox(folder, *options) as url:
        yield replace(world, gemini_url=url)


def write_requests(path: Path, texts: dict[str, str]) -> Path:
    rows = [
        {
            "key": key,
            "request": {
                "contents": [{"parts": [{"text": f"{key}: {text}"}]}],
                "generationConfig": {"maxOutputTokens": 100},
            },
        }
        for key, text in texts.items()
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@contextmanager
def running_everything(
    world: World, settings: dict[str, str], notices: Path
) -> Iterator[dict[str, str]]:
    """Web, a receiver of notices and two workers. Gives the settings of all of them."""
    port = allocate_port()
    told = {
        "NOTIFY_URL": f"http://127.0.0.1:{port}/notices",
        "NOTIFY_SECRET": SECRET_TEXT,
        "NOTIFY_PRIVATE": "true",
    }
    whole = settings | told
    with ExitStack() as stack:
        stack.enter_context(running_receiver(port, notices, SECRET_TEXT))
        for command in ("serve", "worker", "worker"):
            stack.enter_context(running_program(world.folder, whole, command))
        eventually(lambda: answers(f"{world.web_url}/ready"), 20)
        yield whole


def submit(settings: dict[str, str], path: Path, *options: str) -> str:
    """Gives the submission's id. The file is gone afterwards, as the laptop is."""
    done = run(settings, "batches", "submit", str(path), "--model", MODEL, "--json", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    path.unlink()
    found: str = json.loads(done.stdout)["submission"]
    return found.removeprefix("submissions/")


def hasten(world: World, submission: str) -> None:
    """Let an hour of its policy take a tenth of a second."""
    path = world.outputs / "_submissions" / submission / "policy.json"
    policy = json.loads(path.read_bytes())
    for name in ("overdue_s", "rescue_after_s"):
        policy[name] *= 0.1 / 3600
    path.write_text(json.dumps(policy))


def news_of(notices: Path, submission: str) -> dict[str, Any]:
    """The one notice that tells of the submission's end, verified."""

    def told() -> list[dict[str, Any]]:
        received = read_received(notices)
        assert not any("refused" in one for one in received)
        return [
            one
            for one in received
            if submission in json.dumps(one) and "submission." in one["type"]
        ]

    eventually(told, SETTLE_S, "the notice of the submission's end")
    (notice,) = told()
    return notice


def proof_of(world: World, submission: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The manifest, and the rows of the answers."""
    folder = world.outputs / "_submissions" / submission
    manifest = json.loads((folder / "manifest.json").read_bytes())
    rows = [json.loads(line) for line in (folder / "answers.jsonl").read_bytes().splitlines()]
    return manifest, rows


def check_objects(world: World, rows: list[dict[str, Any]]) -> None:
    """Each row leads to the line that it tells of."""
    for row in rows:
        data = (world.outputs / row["object"]).read_bytes()
        line = data[row["offset"] : row["offset"] + row["length"]]
        assert hashlib.sha256(line).hexdigest() == row["sha256"]
        assert row["key"] in line.decode()


def paid_for(world: World) -> Counter[str]:
    """How often each key was charged for with an answer that holds."""
    found = CLIENT.get(f"{world.gemini_url}/sandbox/payments").json()["payments"]
    return Counter(one["text"].partition(":")[0] for one in found if one["outcome"] == "ok")


def test_submission_finishes_by_itself(paying: World) -> None:
    requests, notices = paying.folder / "requests.jsonl", paying.folder / "heard"
    with running_everything(paying, paying.settings, notices) as settings:
        submission = submit(
            settings, write_requests(requests, TEXTS), "--rounds", "3", "--max-requests", "5"
        )
        notice = news_of(notices, submission)
        assert notice["type"] == "submission.completed"
        about = notice["data"]
        assert (about["requests"], about["answered"], about["blocked"]) == (len(TEXTS), 12, 1)
        watched = run(settings, "submissions", "watch", submission, "--timeout", "30")
        assert watched.returncode == 1, watched.stdout  # two have no answer
        shown = run(settings, "submissions", "show", submission)
        assert "12 of 14" in shown.stdout

    manifest, rows = proof_of(paying, submission)
    assert [row["key"] for row in rows] == list(TEXTS)
    assert {row["key"]: row["outcome"] for row in rows} == OUTCOMES
    assert {row["key"]: row["round"] for row in rows} == ROUNDS
    check_objects(paying, rows)
    assert (manifest["state"], manifest["rounds"], manifest["balanced"]) == ("completed", 2, True)
    assert manifest["answered"] + manifest["blocked"] + manifest["failed"] == len(TEXTS)
    assert len(manifest["batches"]) == 3 + manifest["rounds"]
    assert paid_for(paying) == {key: 1 for key, outcome in OUTCOMES.items() if outcome == "ok"}
    verified = run(settings, "submissions", "verify", submission)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_stuck_batch_is_rescued_through_flex(paying: World) -> None:
    """Submitted before any worker runs; an hour takes a tenth of a second, and flex is full at first."""
    requests, notices = paying.folder / "requests.jsonl", paying.folder / "heard"
    texts = {"a": "Hello", "b": "[sandbox:stuck x1]", "c": "Hello", "d": "Hello"}
    set_faults(paying.gemini_url, generate_status={"status": 503, "times": 2})
    own = paying.settings
    rescue = ("--rescue-after", "30h", "--rescue", "flex")
    submission = submit(own, write_requests(requests, texts), *rescue)
    hasten(paying, submission)
    with running_everything(paying, own, notices) as settings:
        assert news_of(notices, submission)["type"] == "submission.completed"
        overdue = [one for one in read_received(notices) if one["type"] == "batch.overdue"]
        assert len(overdue) == 1

    manifest, rows = proof_of(paying, submission)
    assert {row["key"]: row["outcome"] for row in rows} == dict.fromkeys(texts, "ok")
    assert [row["batch"].startswith("batches/flex-") for row in rows] == [False, True, False, False]
    assert (manifest["state"], manifest["balanced"]) == ("completed", True)
    assert paid_for(paying) == dict.fromkeys(texts, 1)
    verified = run(settings, "submissions", "verify", submission)
    assert verified.returncode == 0, verified.stdout + verified.stderr
