"""The commands that submit, as processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forwarding import Gate
from tests.receiver.submissions.submitting import MODEL, command, made, settings, submit


def test_second_command_finds_the_batch_of_the_first(gate: Gate, source: Path) -> None:
    gate.what = "lose"
    argv = [sys.executable, "-m", "workers", *command(source)]
    first = subprocess.run(
        argv, env=settings(gate, source), capture_output=True, text=True, timeout=60, check=False
    )
    assert first.returncode == 1
    assert "nobody knows whether" in first.stderr
    gate.what = "pass"
    second = subprocess.run(
        argv, env=settings(gate, source), capture_output=True, text=True, timeout=60, check=False
    )
    assert second.returncode == 0, second.stderr
    assert second.stdout.startswith("found batches/")
    assert made(gate) == 1


def test_submission_tells_how_far_it_is(gate: Gate, source: Path) -> None:
    first, second = submit(gate, source, max_requests=3, display_name="half done")
    folder = source.parent / "outputs" / first.batch.removeprefix("batches/")
    (folder / "_input.jsonl.gz").unlink()
    records = source.parent / "outputs" / "_submissions"
    (mark,) = records.glob("*/2.created.json")
    mark.unlink()
    (folder / "_manifest.json").touch()
    argv = [sys.executable, "-m", "workers", "batches", "submissions", mark.parent.name]
    done = subprocess.run(
        argv, env=settings(gate, source), capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines() == [
        (
            f"half done {mark.parent.name} (requests.jsonl, {MODEL}):"
            " 5 requests, 1 of 2 batches sent, 1 stored"
        ),
        (
            f"  part 1: {first.batch}: 3 requests, stored; its input is not kept:"
            " submit it again, nothing is sent twice"
        ),
        "  part 2: not sent: submit it again",
    ]
    rows = json.loads(
        subprocess.run(
            [*argv[:-1], "--json"], env=settings(gate, source), capture_output=True, check=True
        ).stdout
    )
    assert [one["batch"] for one in rows[0]["batches"]] == [first.batch, None]
    assert submit(gate, source, max_requests=3, display_name="half done")[1].batch == second.batch


def test_place_of_the_answers_and_the_next_command_are_named(gate: Gate, source: Path) -> None:
    environ = settings(gate, source) | {"OUTPUT_TEMPLATE": "answers/{batch}/{key}.json"}

    def run(*options: str) -> "subprocess.CompletedProcess[str]":
        argv = [sys.executable, "-m", "workers", *command(source), *options]
        return subprocess.run(
            argv, env=environ, capture_output=True, text=True, timeout=60, check=True
        )

    dry = run("--dry-run").stderr
    assert "without --dry-run, the same command sends them\n" in dry
    sent = run()
    batch_id = sent.stdout.split()[1].removeprefix("batches/")
    folder = source.parent / "outputs" / "answers" / batch_id
    assert f"its answers will be in {folder}/{{key}}.json\n" in sent.stderr
    watch = f"`gemini-batch-receiver batches watch {batch_id}` waits for them\n"
    assert sent.stderr.endswith(watch)


def test_two_at_once_make_one_batch(gate: Gate, source: Path) -> None:
    argv = [sys.executable, "-m", "workers", *command(source)]
    both = [
        subprocess.Popen(argv, env=settings(gate, source), stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60)[0] for process in both]
    assert made(gate) == 1
    assert any(words.startswith("created batches/") for words in said)
    again = subprocess.run(
        argv, env=settings(gate, source), capture_output=True, text=True, timeout=60, check=True
    )
    assert again.stdout.startswith("already submitted as batches/")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1.evil.example/x", "http://hooks.example/x", "ftp://x", "hooks.example"]
)
def test_webhook_in_the_clear_is_refused(gate: Gate, source: Path, url: str) -> None:
    argv = [sys.executable, "-m", "workers", *command(source), "--webhook", url]
    done = subprocess.run(
        argv, env=settings(gate, source), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, gate.paths) == (2, [])
    assert "--webhook: expected https" in done.stderr


def test_misspelt_model_sends_nothing(gate: Gate, source: Path) -> None:
    for more in ([], ["--dry-run"]):
        argv = [
            sys.executable,
            "-m",
            "workers",
            "batches",
            "submit",
            str(source),
            "--model",
            "gemini-3.8-flsh",
            *more,
        ]
        done = subprocess.run(
            argv,
            env=settings(gate, source),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
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
    gate: Gate, source: Path, changes: dict[str, str], words: str
) -> None:
    env, argv = (
        settings(gate, source) | changes,
        [sys.executable, "-m", "workers", *command(source), "--dry-run"],
    )
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=True)
    assert words in done.stderr
    assert done.stdout.endswith("5 requests in 1 batch; nothing was sent\n")


def test_dry_run_says_what_would_be_sent(gate: Gate, source: Path) -> None:
    argv = [sys.executable, "-m", "workers", *command(source), "--dry-run", "--max-requests", "3"]
    done = subprocess.run(
        argv, env=settings(gate, source), capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.endswith("5 requests in 2 batches; nothing was sent\n")
    assert gate.paths == []
