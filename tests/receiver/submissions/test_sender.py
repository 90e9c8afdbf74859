"""Every step of a submission can fail; no batch is made twice, and none is forgotten."""

import gzip
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver.errors import AlreadyStoredError, GeminiError, SubmissionError
from receiver.gemini.client import Gemini
from receiver.storage import LocalStorage
from receiver.submissions.orders import Wish, check_input, plan_submission
from receiver.submissions.plans import Part
from receiver.submissions.records import Creating, Records, Submission, Try
from receiver.submissions.sender import Ears, Sender, Sent
from tests.forwarding import Gate, gate_before
from tests.running import CLIENT, HEADERS
from tests.sandbox.callbacks import Callbacks

MODEL = "gemini-3.5-flash"


@pytest.fixture
def gate(sandbox_url: str) -> Iterator[Gate]:
    with gate_before(sandbox_url) as gate:
        yield gate


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An input that no other test has."""
    salt, path = uuid.uuid4().hex, tmp_path / "requests.jsonl"
    rows = [{"key": f"{salt}-{number}", "request": {"contents": [{"parts": [{"text": "Hi"}]}]}} for number in range(5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def submit(gate: Gate, source: Path, unsure_s: float = 90, **wishes: Any) -> list[Sent]:
    storage, wish = LocalStorage(source.parent / "outputs"), Wish("", MODEL, **wishes)
    submission, _ = plan_submission(storage, source, wish, check_input(source, wish))
    scratch = source.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    with Gemini(gate.url, "right-key") as gemini:
        sender = Sender(gemini, storage, submission, source, Ears(), unsure_s)
        return [sender.send(part, scratch) for part in submission.parts]


def made(gate: Gate) -> int:
    return gate.count("GenerateContent") + gate.count("EmbedContent")


def stored_input(source: Path, sent: Sent) -> bytes:
    folder = source.parent / "outputs" / sent.batch.removeprefix("batches/")
    return gzip.decompress((folder / "_input.jsonl.gz").read_bytes())


def test_input_becomes_one_batch_and_is_kept(gate: Gate, source: Path) -> None:
    (sent,) = submit(gate, source)
    assert (sent.status, made(gate)) == ("created", 1)
    assert stored_input(source, sent) == source.read_bytes()
    with Gemini(gate.url, "right-key") as gemini:
        batch = gemini.get_batch(sent.batch)
    assert (batch.requests, batch.display_name) == (5, f"requests-{check_input(source, Wish('', MODEL)).sha256[:8]}")
    assert not list((source.parent / "outputs" / "_submissions").glob("*.awaited"))


def test_carriage_return_is_white_space(gate: Gate, source: Path) -> None:
    """It was taken for the end of a line, and what stood before it for a request."""
    source.write_bytes(
        source.read_bytes().replace(b', "request"', b',\r"request"').replace(b"\n", b"\r\n") + b"\r\n \r\n"
    )
    (sent,) = submit(gate, source, inline=True)
    with Gemini(gate.url, "right-key") as gemini:
        assert gemini.get_batch(sent.batch).requests == 5


def test_large_input_becomes_several(gate: Gate, source: Path) -> None:
    sent = submit(gate, source, max_requests=2, display_name="split")
    assert [one.part.requests for one in sent] == [2, 2, 1]
    assert b"".join(stored_input(source, one) for one in sent) == source.read_bytes()
    with Gemini(gate.url, "right-key") as gemini:
        assert gemini.get_batch(sent[1].batch).display_name == "split 2 of 3"


def test_second_submit_sends_nothing(gate: Gate, source: Path) -> None:
    first = submit(gate, source)
    calls = len(gate.paths)
    again = source.rename(source.with_name("renamed.jsonl"))
    second = submit(gate, again, max_requests=1)  # how it was split before holds
    assert [(one.batch, one.status) for one in second] == [(one.batch, "known") for one in first]
    assert len(gate.paths) == calls


@pytest.mark.parametrize("wish", [{"display_name": "other"}, {"retry_of": "batches/x"}, {"inline": True}])
def test_other_wish_is_another_batch(gate: Gate, source: Path, wish: dict[str, Any]) -> None:
    submit(gate, source)
    (sent,) = submit(gate, source, **wish)
    assert (sent.status == "known") == ("inline" in wish)


@pytest.mark.parametrize("inline", [False, True])
def test_lost_answer_makes_no_second_batch(gate: Gate, source: Path, inline: bool) -> None:  # noqa: FBT001 - a case
    gate.what = "lose"
    with pytest.raises(SubmissionError, match="nobody knows whether Gemini made the batch of part 1"):
        submit(gate, source, inline=inline)
    gate.what = "pass"
    (sent,) = submit(gate, source, inline=inline)
    assert (sent.status, made(gate)) == ("found", 1)
    assert stored_input(source, sent) == source.read_bytes()
    assert gate.count("upload_id") == (0 if inline else 1)


def test_request_that_never_arrived_is_sent_again(gate: Gate, source: Path) -> None:
    gate.what = "hold"
    with (
        subprocess.Popen([sys.executable, "-m", "workers", *command(source)], env=settings(gate, source)) as process,
    ):
        assert gate.held.wait(30)
        process.send_signal(signal.SIGKILL)
    gate.what = "pass"
    (sent,) = submit(gate, source, unsure_s=0.5)
    assert (sent.status, made(gate)) == ("created", 1)


def settings(gate: Gate, source: Path) -> dict[str, str]:
    outputs = (source.parent / "outputs").as_uri()
    return {**os.environ, "GEMINI_API_KEY": "right-key", "GEMINI_BASE_URL": gate.url, "STORAGE_URL": outputs}


def command(source: Path) -> list[str]:
    return ["batches", "submit", str(source), "--model", MODEL]


def test_second_command_finds_the_batch_of_the_first(gate: Gate, source: Path) -> None:
    gate.what = "lose"
    argv = [sys.executable, "-m", "workers", *command(source)]
    first = subprocess.run(argv, env=settings(gate, source), capture_output=True, text=True, timeout=60, check=False)
    assert first.returncode == 1
    assert "nobody knows whether" in first.stderr
    gate.what = "pass"
    second = subprocess.run(argv, env=settings(gate, source), capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 0, second.stderr
    assert second.stdout.startswith("found batches/")
    assert made(gate) == 1


def test_submission_tells_how_far_it_is(gate: Gate, source: Path) -> None:
    first, second = submit(gate, source, max_requests=3, display_name="half done")
    records = source.parent / "outputs" / "_submissions"
    (mark,) = records.glob("*/2.created.json")
    mark.unlink()
    (source.parent / "outputs" / first.batch.removeprefix("batches/") / "_manifest.json").touch()
    argv = [sys.executable, "-m", "workers", "batches", "submissions", mark.parent.name]
    done = subprocess.run(argv, env=settings(gate, source), capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == [
        f"{mark.parent.name} half done (requests.jsonl, {MODEL}): 5 requests, 1 of 2 batches sent, 1 stored",
        f"  part 1: {first.batch}: 3 requests, stored",
        "  part 2: not sent: submit it again",
    ]
    rows = json.loads(
        subprocess.run([*argv[:-1], "--json"], env=settings(gate, source), capture_output=True, check=True).stdout
    )
    assert [one["batch"] for one in rows[0]["batches"]] == [first.batch, None]
    assert submit(gate, source, max_requests=3, display_name="half done")[1].batch == second.batch


def test_refused_batch_can_be_sent_at_once(gate: Gate, source: Path) -> None:
    gate.what = "refuse"
    with pytest.raises(GeminiError, match="RESOURCE_EXHAUSTED"):
        submit(gate, source)
    gate.what = "pass"
    (sent,) = submit(gate, source)
    assert (sent.status, made(gate)) == ("created", 1)
    assert gate.count("upload_id") == 1


def test_uploaded_file_that_is_gone_is_sent_again(gate: Gate, source: Path) -> None:
    gate.what = "refuse"
    with pytest.raises(GeminiError):
        submit(gate, source)
    gate.what = "pass"
    (record,) = (source.parent / "outputs" / "_submissions").glob("*/1.uploaded.json")
    CLIENT.delete(f"{gate.upstream}/v1beta/{json.loads(record.read_bytes())['file']}", headers=HEADERS)
    submit(gate, source)
    assert gate.count("upload_id") == 2


def test_two_at_once_make_one_batch(gate: Gate, source: Path) -> None:
    argv = [sys.executable, "-m", "workers", *command(source)]
    both = [subprocess.Popen(argv, env=settings(gate, source), stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in both]
    assert made(gate) == 1
    assert any(words.startswith("created batches/") for words in said)
    again = subprocess.run(argv, env=settings(gate, source), capture_output=True, text=True, timeout=60, check=True)
    assert again.stdout.startswith("already submitted as batches/")


def test_dead_try_is_followed_by_one(gate: Gate, source: Path) -> None:
    """Two that found the same dead try: who comes second sends nothing."""
    submission, part, records = planned(source)
    dead = Creating("files/x", "dead", 0.0)
    records.begin_try(part, 1, dead)
    assert records.last_try(part) == Try(1, dead, is_refused=False)
    records.begin_try(part, 2, dead)
    with pytest.raises(AlreadyStoredError):
        records.begin_try(part, 2, dead)
    records.note_refusal(part, 2)
    assert records.last_try(part) == Try(2, dead, is_refused=True)
    assert [one.status for one in submit(gate, source)] == ["created"]
    assert records.read_plan() == submission


def test_first_plan_holds(source: Path) -> None:
    submission, part, records = planned(source)
    other = msgspec.structs.replace(submission, parts=(part, part))
    assert records.settle_plan(other) == (submission, True)


def planned(source: Path) -> tuple[Submission, Part, Records]:
    storage, wish = LocalStorage(source.parent / "outputs"), Wish("", MODEL)
    submission, _ = plan_submission(storage, source, wish, check_input(source, wish))
    return submission, submission.parts[0], Records(storage, submission.id)


def test_embeddings_go_to_their_own_call(gate: Gate, source: Path) -> None:
    source.write_text(json.dumps({"key": uuid.uuid4().hex, "request": {"content": {"parts": [{"text": "Hi"}]}}}))
    (sent,) = submit(gate, source)
    assert gate.count(":asyncBatchEmbedContent") == 1
    assert stored_input(source, sent) == source.read_bytes()
    with pytest.raises(SubmissionError, match="inline embeddings carry no keys"):
        submit(gate, source, inline=True)


def test_own_webhook_hears_of_its_batch(gate: Gate, source: Path) -> None:
    with Callbacks() as callbacks:
        (sent,) = submit(gate, source, webhook=callbacks.url, metadata={"tenant": "acme"})
        event = json.loads(callbacks.wait()[0].body)
    assert event["data"]["id"].endswith(sent.batch.removeprefix("batches/"))
    assert event["user_metadata"] == {"tenant": "acme"}


def test_shortened_input_is_noticed(gate: Gate, source: Path) -> None:
    storage, wish = LocalStorage(source.parent / "outputs"), Wish("", MODEL, inline=True)
    submission, _ = plan_submission(storage, source, wish, check_input(source, wish))
    lines = source.read_bytes().splitlines(keepends=True)
    source.write_bytes(b"".join(lines[:3]))
    with Gemini(gate.url, "right-key") as gemini, pytest.raises(SubmissionError, match="became shorter"):
        Sender(gemini, storage, submission, source, Ears()).send(submission.parts[0], source.parent)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1.evil.example/x", "http://hooks.example/x", "ftp://x", "hooks.example"]
)
def test_webhook_in_the_clear_is_refused(gate: Gate, source: Path, url: str) -> None:
    argv = [sys.executable, "-m", "workers", *command(source), "--webhook", url]
    done = subprocess.run(argv, env=settings(gate, source), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, gate.paths) == (2, [])
    assert "--webhook: expected https" in done.stderr


def test_wrong_input_sends_nothing(gate: Gate, source: Path) -> None:
    source.write_text('{"key": "k"}\n' * 30)
    with pytest.raises(SubmissionError, match=r"30 lines of .* are no requests:\n  line 1: it has no") as caught:
        submit(gate, source)
    assert str(caught.value).endswith("and 10 more")
    assert gate.paths == []


def test_dry_run_says_what_would_be_sent(gate: Gate, source: Path) -> None:
    argv = [sys.executable, "-m", "workers", *command(source), "--dry-run", "--max-requests", "3"]
    done = subprocess.run(argv, env=settings(gate, source), capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.endswith("5 requests in 2 batches; nothing was sent\n")
    assert gate.paths == []
