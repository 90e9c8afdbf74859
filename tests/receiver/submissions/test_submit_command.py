"""`batches submit`, and the worker that carries it out."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from receiver.batch_names import SubmissionName
from receiver.inbox.ledger import Inbox
from receiver.inbox.redis import SUBMISSIONS
from receiver.storage import LocalStorage
from receiver.submissions.policy import Order, Policy
from receiver.submissions.records import SubmissionRecords, list_submissions, requests_name
from tests.forwarding import Gate
from tests.receiver.submissions.submitting import MODEL, command, created, made, run, settings, work

WATCH = "`gemini-batch-receiver submissions watch {}` follows it\n"


@pytest.fixture
def environ(gate: Gate, source: Path, redis_url: str) -> dict[str, str]:
    return settings(gate, source, redis_url)


def submitted(source: Path) -> SubmissionRecords:
    storage = LocalStorage(source.parent / "outputs")
    (one,) = list_submissions(storage)
    return SubmissionRecords(storage, one.id)


def test_everything_is_kept_and_nothing_sent(
    gate: Gate, source: Path, environ: dict[str, str], client: "redis.Redis"
) -> None:
    """The file may go, and a worker does the rest."""
    said = json.loads(run(environ, *command(source), "--max-requests", "3", "--json").stdout)
    assert (made(gate), gate.count("upload")) == (0, 0)
    name = SubmissionName.read(said["submission"])
    assert name is not None
    assert (said["id"], said["requests"], len(said["parts"])) == (name.id, 5, 2)
    assert said["answers"].endswith(f"/outputs/_submissions/{name.id}/answers.jsonl")
    assert said["estimate"]["high"] is not None
    entries = Inbox(client, ledger=SUBMISSIONS).entries([str(name)])
    assert entries[str(name)].state == "open"

    storage, whole = LocalStorage(source.parent / "outputs"), source.read_bytes()
    source.unlink()
    for part in said["parts"]:
        assert storage.exists(requests_name(part["sha256"]))
    work(environ)
    assert (made(gate), len(created(source))) == (2, 2)
    folders = [batch.removeprefix("batches/") for batch in created(source)]
    kept = [
        subprocess.check_output(["gzip", "-dc", str(storage.root / folder / "_input.jsonl.gz")])
        for folder in folders
    ]
    assert b"".join(kept) == whole


def test_worker_finds_the_batch_whose_name_was_lost(
    gate: Gate, source: Path, environ: dict[str, str]
) -> None:
    run(environ, *command(source))
    gate.what = "lose"
    work(environ)
    assert (made(gate), created(source)) == (1, [])
    gate.what = "pass"
    again = run(environ, *command(source))
    assert again.stdout.startswith("already submitted as submissions/")
    work(environ)
    assert (made(gate), len(created(source))) == (1, 1)


def test_place_of_the_answers_and_the_next_command_are_named(
    source: Path, environ: dict[str, str]
) -> None:
    environ |= {"OUTPUT_TEMPLATE": "answers/{batch}/{key}.json"}
    dry = run(environ, *command(source), "--dry-run").stderr
    assert "without --dry-run, the same command sends them\n" in dry
    sent = run(environ, *command(source))
    submission_id = sent.stdout.split()[2].removeprefix("submissions/")
    outputs = source.parent / "outputs"
    rows = outputs / "_submissions" / submission_id / "answers.jsonl"
    answers = f"its answers will be in {outputs}/answers/{{batch}}/{{key}}.json"
    assert f"{answers}, the outcome of each request in {rows}\n" in sent.stderr
    assert "no worker is running, so nothing is sent: start `gemini" in sent.stderr
    assert "workers send it, and the file is not needed any more" in sent.stderr  # but the folder
    assert sent.stderr.endswith(WATCH.format(submission_id))


def test_two_at_once_make_one_batch(gate: Gate, source: Path, environ: dict[str, str]) -> None:
    argv = [sys.executable, "-m", "workers"]
    for words, expected in ((command(source), "submitted as "), (["worker", "--burst"], "")):
        both = [
            subprocess.Popen([*argv, *words], env=environ, stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        said = [process.communicate(timeout=60)[0] for process in both]
        assert [process.returncode for process in both] == [0, 0]
        assert any(text.startswith(expected) for text in said)
    assert (made(gate), len(created(source))) == (1, 1)
    again = run(environ, *command(source))
    assert again.stdout.startswith("already submitted as submissions/")
    work(environ)
    assert made(gate) == 1


def test_wait_follows_it_to_its_end(source: Path, environ: dict[str, str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "workers", "worker"], env=environ | {"RECONCILE_INTERVAL_S": "1"}
    ) as worker:
        try:
            done = run(environ, *command(source), "--wait", "--display-name", "fast [run 1]")
        finally:
            worker.terminate()
    first, *_, last = done.stdout.splitlines()
    assert first.startswith("submitted as submissions/")
    assert "  completed; 5 of 5 requests answered" in last
    assert done.stderr.endswith("1 of 1 submission is well\n")


def test_policy_is_what_was_stated_last(source: Path, environ: dict[str, str]) -> None:
    run(environ, *command(source), "--rounds", "1", "--rescue-after", "30h", "--rescue", "flex")
    records = submitted(source)
    first = Policy(rounds=1, rescue_after_s=108_000, rescue="flex")
    assert records.read_policy() == first
    again = run(environ, *command(source))
    assert records.read_policy() == first  # what is not stated stays
    assert "this holds from now on" not in again.stderr

    changed = run(environ, *command(source), "--rounds", "2", "--max-cost", "40")
    assert "up to 2 rounds after the first sending, at most $40.00" in changed.stderr
    assert "this holds from now on" in changed.stderr
    lifted = run(environ, *command(source), "--max-cost", "none", "--rescue-after", "none")
    assert "this holds from now on" in lifted.stderr
    assert records.read_policy() == Policy(rounds=2, rescue="flex")


def test_place_of_the_table_is_tried_first(
    gate: Gate, source: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    wrong = {
        "answers.txt": (2, "names no table"),
        str(tmp_path / "file" / "answers.csv"): (1, "can't be written"),
        "ftp://host/answers.csv": (2, "is none of s3://"),
    }
    for text, (code, words) in wrong.items():
        refused = run(environ, *command(source), "--export", text, code=code)
        assert words in refused.stderr
    assert not list(list_submissions(LocalStorage(source.parent / "outputs")))
    assert gate.count("upload") == 0

    target = tmp_path / "out" / "answers.csv"
    done = run(environ, *command(source), "--export", str(target))
    assert f"the table goes to {target}" in done.stderr
    assert submitted(source).read_policy().export == target.as_uri()
    again = run(environ, *command(source), "--export", "none")
    assert "this holds from now on" in again.stderr
    assert submitted(source).read_policy().export is None


def test_paused_one_stays_paused(source: Path, environ: dict[str, str]) -> None:
    run(environ, *command(source))
    records = submitted(source)
    records.write_order(Order("pause", 5.0))
    again = run(environ, *command(source), "--rounds", "1")
    assert "it is paused: `gemini-batch-receiver submissions resume" in again.stderr
    assert (records.read_order().command, records.read_policy().rounds) == ("pause", 1)


def test_redis_that_is_away_loses_nothing(
    gate: Gate, source: Path, environ: dict[str, str]
) -> None:
    away = environ | {"REDIS_URL": "redis://127.0.0.1:9/0"}
    done = run(away, *command(source), code=1)
    assert done.stdout.startswith("submitted as submissions/")
    assert "the submission is kept, but no worker knows of it yet: Redis did not" in done.stderr
    assert "A reconcile run finds it" in done.stderr
    assert "workers send it" not in done.stderr
    source.unlink()
    run(environ, "reconcile")
    work(environ)
    assert (made(gate), len(created(source))) == (1, 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--max-cost", "0.001"], "part 1 may cost $1.48, which is over the --max-cost of $0.001"),
        (["--max-cost", "0.0000001"], "the requests alone, without any answer, cost about"),
    ],
)
def test_limit_that_cant_be_kept_sends_nothing(
    gate: Gate, source: Path, environ: dict[str, str], options: list[str], words: str
) -> None:
    for more in ([], ["--dry-run"]):
        done = run(environ, *command(source), *options, *more, code=1)
        assert words in done.stderr
    assert made(gate) == 0
    assert not (source.parent / "outputs" / "_submissions").exists()


def test_unknown_cost_needs_a_word(source: Path, environ: dict[str, str], tmp_path: Path) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text('{"date": "2026-10-07", "models": {}}')
    environ |= {"PRICES_FILE": str(prices)}
    refused = run(environ, *command(source), "--max-cost", "5", code=1)
    assert "nobody knows what part 1 may cost at most" in refused.stderr
    run(environ, *command(source), "--max-cost", "5", "--allow-unknown-cost")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1.evil.example/x", "http://hooks.example/x", "ftp://x", "hooks.example"]
)
def test_webhook_in_the_clear_is_refused(
    gate: Gate, source: Path, environ: dict[str, str], url: str
) -> None:
    done = run(environ, *command(source), "--webhook", url, code=2)
    assert gate.paths == []
    assert "--webhook: expected https" in done.stderr


def test_misspelt_model_sends_nothing(gate: Gate, source: Path, environ: dict[str, str]) -> None:
    for more in ([], ["--dry-run"]):
        words = ["batches", "submit", str(source), "--model", "gemini-3.8-flsh", *more]
        done = run(environ, *words, code=1)
        assert "nothing was sent; did you mean gemini-3.8-flash" in done.stderr
    assert gate.paths == []
    assert not (source.parent / "outputs" / "_submissions").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"GEMINI_API_KEY": "", "GOOGLE_API_KEY": ""},
            "was not checked: these settings are wrong or missing",
        ),
        ({"GEMINI_BASE_URL": "http://127.0.0.1:9"}, "was not checked: no answer from Gemini"),
    ],
)
def test_dry_run_says_that_the_model_was_not_checked(
    source: Path, environ: dict[str, str], changes: dict[str, str], words: str
) -> None:
    done = run(environ | changes, *command(source), "--dry-run")
    assert words in done.stderr
    assert done.stdout.endswith("5 requests in 1 batch; nothing was sent\n")


def test_dry_run_says_what_would_be_sent(gate: Gate, source: Path, environ: dict[str, str]) -> None:
    done = run(environ, *command(source), "--dry-run", "--max-requests", "3")
    assert done.stdout.endswith("5 requests in 2 batches; nothing was sent\n")
    assert "part 1: 3 requests from line 1, " in done.stdout
    assert "cost: $" in done.stderr
    assert "Gemini counted 5 of 5 requests" in done.stderr
    assert len(gate.paths) == gate.count(f"{MODEL}:countTokens") > 0  # which costs nothing
    said = json.loads(run(environ, *command(source), "--dry-run", "--json").stdout)
    assert (said["requests"], said["policy"]["rounds"]) == (5, 3)
    assert {"low", "expected", "high"} < said["estimate"].keys()


def test_dry_run_says_which_parts_wait(source: Path, environ: dict[str, str]) -> None:
    """The sandbox counts a token for each request; a fifth more rounds up to two."""
    done = run(environ | {"ENQUEUED_TOKENS": f"{MODEL}=6"}, *command(source), "--dry-run")
    assert done.stdout.endswith("5 requests in 5 batches; nothing was sent\n")
    assert "part 5: 1 request from line 5, " in done.stdout
    assert "10 tokens, and 6 may be enqueued at a time: its 5 parts are sent" in done.stderr


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"DAILY_COST_CAP": "0.01"}, "which is over the DAILY_COST_CAP of $0.01: state a"),
        ({"ENQUEUED_TOKENS": f"{MODEL}=1"}, "may be enqueued at a time: shorten the request"),
    ],
)
def test_limit_of_the_project_sends_nothing(
    limit: dict[str, str], words: str, gate: Gate, source: Path, environ: dict[str, str]
) -> None:
    row = {"contents": [{"parts": [{"text": "word " * 50}]}]}
    source.write_text(json.dumps({"key": source.parent.name, "request": row}) + "\n")
    for more in ([], ["--dry-run"]):
        assert words in run(environ | limit, *command(source), *more, code=1).stderr
    assert (made(gate), gate.count("upload")) == (0, 0)
    assert list(list_submissions(LocalStorage(source.parent / "outputs"))) == []
