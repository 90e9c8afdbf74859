"""A create whose answer is lost makes no second batch, and takes nobody else's for its own."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.sandbox.processes import allocate_port
from receiver.batch_names import add_tag, new_tag
from receiver.errors import (
    AlreadyStoredError,
    GeminiError,
    LeaseLostError,
    StepPendingError,
    SubmissionError,
    UnsureCallError,
)
from receiver.gemini.batches import Gemini
from receiver.gemini.operations import Batch
from receiver.retry import format_rfc3339
from receiver.storage import LocalStorage
from receiver.submissions import submitter
from receiver.submissions.records import CreateAttempt, Created, CreateIntent, Uploaded
from receiver.submissions.submitter import Submitter
from tests.answering import Answer, answering
from tests.forwarding import Gate
from tests.receiver.submissions.submitting import (
    MODEL,
    command,
    made,
    planned,
    run,
    sender_of,
    settings,
    stored_input,
    submit,
)
from workers.store.batch_input import is_awaited


@pytest.mark.parametrize("inline", [False, True])
def test_lost_answer_makes_no_second_batch(gate: Gate, source: Path, inline: bool) -> None:  # noqa: FBT001 - a case
    gate.what = "lose"
    with pytest.raises(
        UnsureCallError, match="nobody knows whether Gemini made the batch of part 1"
    ):
        submit(gate, source, inline=inline)
    gate.what = "pass"
    (sent,) = submit(gate, source, inline=inline)
    assert (sent.status, made(gate)) == ("found", 1)
    assert stored_input(source, sent) == source.read_bytes()
    assert gate.count("upload_id") == (0 if inline else 1)


@pytest.mark.parametrize("inline", [False, True])
def test_lost_batch_awaits_its_input(gate: Gate, source: Path, inline: bool) -> None:  # noqa: FBT001 - a case
    """A worker that stored it now would not know what was asked."""
    gate.what = "lose"
    with pytest.raises(UnsureCallError, match="nobody knows whether"):
        submit(gate, source, inline=inline, display_name=name_of(source))
    gate.what = "pass"
    _, part, records = planned(source, inline=inline, display_name=name_of(source))
    records.write_uploaded(part, Uploaded("files/of-somebody-at-once"))

    storage = LocalStorage(source.parent / "outputs")
    with Gemini(gate.url, "right-key") as gemini:
        listed = [one for one in gemini.list_batches() if isinstance(one, Batch)]
        (batch,) = (one for one in listed if one.display_name == name_of(source))
        batch = replace(batch, ended=format_rfc3339(time.time()))
        assert is_awaited(storage, batch)
        submit(gate, source, inline=inline, display_name=name_of(source))
        assert not is_awaited(storage, batch)
    assert not list((storage.root / "_submissions").glob("*.awaited"))


def test_request_that_never_arrived_is_sent_again(gate: Gate, source: Path, redis_url: str) -> None:
    environ = settings(gate, source, redis_url)
    run(environ, *command(source))
    gate.what = "hold"
    with (
        subprocess.Popen([sys.executable, "-m", "workers", "worker"], env=environ) as process,
    ):
        assert gate.held.wait(30)
        process.send_signal(signal.SIGKILL)
    gate.what = "pass"
    (sent,) = submit(gate, source, unsure_s=0.5)
    assert (sent.status, made(gate)) == ("created", 1)


def test_batch_of_another_input_is_never_found(gate: Gate, source: Path, tmp_path: Path) -> None:
    """One name, two inline inputs: the second call never reaches Gemini, and the first one's batch
    is not its own.
    """
    (first,) = submit(gate, source, inline=True, display_name="one name")
    other = tmp_path / "other.jsonl"
    other.write_text(source.read_text().replace("Hi", "Ho"))
    gate.what = "drop"
    with pytest.raises(UnsureCallError, match="nobody knows whether"):
        submit(gate, other, inline=True, display_name="one name")
    gate.what = "pass"
    (second,) = submit(gate, other, unsure_s=0.2, inline=True, display_name="one name")
    assert (second.status, made(gate)) == ("created", 2)
    assert second.batch != first.batch


def test_batch_of_another_model_is_never_found(gate: Gate, source: Path) -> None:
    submit(gate, source, inline=True)
    gate.what = "drop"
    with pytest.raises(UnsureCallError, match="nobody knows whether"):
        submit(gate, source, inline=True, model="gemini-3.1-pro")
    gate.what = "pass"
    (second,) = submit(gate, source, unsure_s=0.2, inline=True, model="gemini-3.1-pro")
    assert (second.status, made(gate)) == ("created", 2)


def test_batch_of_another_machine_is_never_found(gate: Gate, source: Path, tmp_path: Path) -> None:
    """The same requests from a machine with a storage of its own: its batch has a tag that this one
    never gave.
    """
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    copy = elsewhere / source.name
    copy.write_bytes(source.read_bytes())
    submit(gate, copy, inline=True)
    gate.what = "drop"
    with pytest.raises(UnsureCallError, match="nobody knows whether"):
        submit(gate, source, inline=True)
    gate.what = "pass"
    assert submit(gate, source, unsure_s=0.2, inline=True)[0].status == "created"


def test_name_with_a_look_of_a_tag_stays_whole(gate: Gate, source: Path) -> None:
    name = add_tag("evening", new_tag("0" * 20, 1))
    (sent,) = submit(gate, source, display_name=name)
    with Gemini(gate.url, "right-key") as gemini:
        assert gemini.get_batch(sent.batch).display_name == name
        listed = [one for one in gemini.list_batches() if isinstance(one, Batch)]
    assert [one.display_name for one in listed if one.name == sent.batch] == [name]


def test_mark_of_the_older_version_finds_its_batch(gate: Gate, source: Path) -> None:
    _, part, records = planned(source, inline=True, display_name=name_of(source))
    records.record_intent(part, 1, CreateIntent(None, name_of(source), time.time()))
    made_before = create_untagged(gate, source, name_of(source))
    (sent,) = submit(gate, source, inline=True, display_name=name_of(source))
    assert (sent.status, sent.batch) == ("found", made_before)


def test_mark_of_the_older_version_leaves_a_named_batch(
    gate: Gate, source: Path, tmp_path: Path
) -> None:
    """What another submission's record names is that submission's, however alike the two are."""
    other = tmp_path / "other.jsonl"
    other.write_text(source.read_text().replace("Hi", "Ho"))
    _, part, records = planned(other, inline=True, display_name=name_of(source))
    records.write_created(part, Created(create_untagged(gate, other, name_of(source))))
    _, part, records = planned(source, inline=True, display_name=name_of(source))
    records.record_intent(part, 1, CreateIntent(None, name_of(source), time.time()))
    assert (
        submit(gate, source, unsure_s=0.2, inline=True, display_name=name_of(source))[0].status
        == "created"
    )


def test_lost_batch_that_cant_be_read_is_found_by_its_tag(source: Path) -> None:
    """Gemini says of it what no version of ours understands: it is made all the same, and is not
    made twice.
    """
    submission, part, records = planned(source, inline=True)
    tag = new_tag(submission.id, part.number)
    records.record_intent(part, 1, CreateIntent(None, "evening", time.time(), tag))
    metadata = {
        "displayName": add_tag("evening", tag),
        "output": {"responsesFile": "gs://bucket/x"},
    }
    odd = json.dumps({"operations": [{"name": "batches/odd", "metadata": metadata}]}).encode()
    with (
        answering(lambda _path, _headers: Answer(200, odd)) as url,
        Gemini(url, "right-key") as gemini,
    ):
        sent = sender_of(gemini, submission, source).send(part, source.parent)
    assert (sent.status, sent.batch, records.created(part)) == (
        "found",
        "batches/odd",
        Created("batches/odd"),
    )


def test_two_marks_of_the_older_version_are_a_doubt(
    gate: Gate, source: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text(source.read_text().replace("Hi", "Ho"))
    for path in (source, other):
        _, part, records = planned(path, inline=True, display_name=name_of(source))
        records.record_intent(part, 1, CreateIntent(None, name_of(source), time.time()))
    create_untagged(gate, other, name_of(source))
    with pytest.raises(
        SubmissionError,
        match="may belong to this submission or to another one of this name: nothing",
    ):
        submit(gate, source, inline=True, display_name=name_of(source))
    assert made(gate) == 0


def name_of(source: Path) -> str:
    """A name that no other test gives, the same for two inputs of one folder."""
    return str(source.parent)


def create_untagged(gate: Gate, source: Path, name: str) -> str:
    """What the version before made of an input, whose answer was lost."""
    rows = [json.loads(line) for line in source.read_text().splitlines()]
    requests = [{"request": row["request"], "metadata": {"key": row["key"]}} for row in rows]
    with Gemini(gate.upstream, "right-key") as gemini:
        config = {"requests": {"requests": requests}}
        return gemini.create_batch(MODEL, {"displayName": name, "inputConfig": config}).name


def test_call_that_found_nobody_is_no_doubt(gate: Gate, source: Path) -> None:
    """Nothing listens: the next try need not look for a batch that no call can have made."""
    submission, part, records = planned(source, inline=True)
    nowhere = f"http://127.0.0.1:{allocate_port()}"
    with (
        Gemini(nowhere, "right-key") as gemini,
        pytest.raises(GeminiError, match="no answer from Gemini"),
    ):
        sender_of(gemini, submission, source).send(part, source.parent)
    assert [one.is_refused for one in records.attempts(part)] == [True]
    started = time.monotonic()
    assert submit(gate, source, inline=True)[0].status == "created"
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    "answer", ["{}", '{"name": "operations/x"}', '{"error": {"code": 13, "message": "down"}}']
)
def test_answer_without_a_batch_is_a_doubt(source: Path, answer: str) -> None:
    submission, part, records = planned(source, inline=True)
    with (
        answering(lambda _path, _headers: Answer(200, answer.encode())) as url,
        Gemini(url, "right-key") as gemini,
        pytest.raises(UnsureCallError, match="nobody knows whether Gemini made"),
    ):
        sender_of(gemini, submission, source).send(part, source.parent)
    assert records.created(part) is None
    assert [one.is_refused for one in records.attempts(part)] == [False]


@pytest.mark.parametrize(
    ("status", "is_doubt"),
    [(400, False), (404, False), (429, False), (302, True), (408, True), (499, True), (503, True)],
)
def test_status_says_whether_a_batch_may_be_made(source: Path, status: int, is_doubt: bool) -> None:  # noqa: FBT001 - a case
    submission, part, records = planned(source, inline=True)
    with (
        answering(lambda _path, _headers: Answer(status, b"", {"location": "/elsewhere"})) as url,
        Gemini(url, "right-key") as gemini,
        pytest.raises(GeminiError) as raised,
    ):
        sender_of(gemini, submission, source).send(part, source.parent)
    assert isinstance(raised.value, UnsureCallError) == is_doubt
    assert [one.is_refused for one in records.attempts(part)] == [not is_doubt]


def test_dead_try_is_followed_by_one(gate: Gate, source: Path) -> None:
    """Two that found the same dead try: who comes second sends nothing."""
    submission, part, records = planned(source)
    dead = CreateIntent("files/x", "dead", 0.0)
    records.record_intent(part, 1, dead)
    assert records.attempts(part) == [CreateAttempt(1, dead, is_refused=False)]
    records.record_intent(part, 2, dead)
    with pytest.raises(AlreadyStoredError):
        records.record_intent(part, 2, dead)
    records.record_refusal(part, 2)
    assert records.attempts(part) == [
        CreateAttempt(1, dead, is_refused=False),
        CreateAttempt(2, dead, is_refused=True),
    ]
    assert [one.status for one in submit(gate, source, unsure_s=1)] == ["created"]
    assert records.read_plan() == submission


def test_clock_that_was_ahead_makes_nobody_wait_longer(gate: Gate, source: Path) -> None:
    """The machine that made the call said that it is tomorrow."""
    submission, part, records = planned(source, inline=True)
    tomorrow = time.time() + 86_400
    tag = new_tag(submission.id, part.number)
    records.record_intent(part, 1, CreateIntent(None, "evening", tomorrow, tag))
    started = time.monotonic()
    (sent,) = submit(gate, source, unsure_s=1, inline=True)
    assert (sent.status, made(gate)) == ("created", 1)
    assert 1 <= time.monotonic() - started < 30


def test_clock_that_was_behind_makes_nobody_pay_twice(gate: Gate, source: Path) -> None:
    """The machine that makes the call says that it is yesterday, and its call is under way."""
    submission, part, records = planned(source, inline=True)
    yesterday = time.time() - 86_400
    tag = new_tag(submission.id, part.number)
    records.record_intent(part, 1, CreateIntent(None, "evening", yesterday, tag))
    storage = LocalStorage(source.parent / "outputs")
    with Gemini(gate.url, "right-key") as gemini:
        sender = Submitter(gemini, storage, submission)
        for _ in range(2):
            with pytest.raises(StepPendingError, match=r"looked for until (5|60)"):
                sender.find(part, source.parent)
    assert [one.is_unsure for one in records.attempts(part)] == [True]
    assert made(gate) == 0


@pytest.mark.parametrize("late", ["slow", "stopped"])
def test_call_that_comes_too_late_is_not_made(
    gate: Gate, source: Path, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    """Whoever looks for its batch has given it up by then, and creates another one."""
    submission, part, records = planned(source)
    checks = 0

    def check() -> None:
        nonlocal checks
        checks += 1
        if records.attempts(part):  # between the intent and the call
            if late == "stopped":
                raise LeaseLostError("it is no longer ours")
            time.sleep(0.02)

    if late == "slow":
        monkeypatch.setattr(submitter, "CALL_WITHIN_S", 0.01)
    storage = LocalStorage(source.parent / "outputs")
    with (
        Gemini(gate.url, "right-key") as gemini,
        pytest.raises(StepPendingError if late == "slow" else LeaseLostError),
    ):
        Submitter(gemini, storage, submission, check).send(part, source.parent)
    assert (made(gate), checks > 0) == (0, True)
    assert [one.is_refused for one in records.attempts(part)] == [True]
