"""Every step of a submission can fail; no batch is made twice, and none is forgotten."""

import gzip
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.sandbox.processes import allocate_port
from receiver.errors import AlreadyStoredError, GeminiError, SubmissionError
from receiver.gemini.batch_tags import add_tag, new_tag
from receiver.gemini.client import Gemini
from receiver.gemini.files import Files
from receiver.gemini.operations import Batch
from receiver.storage import LocalStorage
from receiver.submissions.orders import Wish, check_input, draft_submission, settle_submission
from receiver.submissions.parts import Part
from receiver.submissions.records import Created, Creating, Records, Submission, Try, Uploaded
from receiver.submissions.sender import Ears, Sender, Sent
from tests.answering import Answer, answering
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


def submit(gate: Gate, source: Path, unsure_s: float = 90, model: str = MODEL, **wishes: Any) -> list[Sent]:
    storage, wish = LocalStorage(source.parent / "outputs"), Wish("", model, **wishes)
    submission, _ = settle_submission(storage, source, draft_submission(source, wish, check_input(source, wish)))
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


def test_batch_of_another_input_is_never_found(gate: Gate, source: Path, tmp_path: Path) -> None:
    """One name, two inline inputs: the second call never reaches Gemini, and the first one's batch is not its own."""
    (first,) = submit(gate, source, inline=True, display_name="one name")
    other = tmp_path / "other.jsonl"
    other.write_text(source.read_text().replace("Hi", "Ho"))
    gate.what = "drop"
    with pytest.raises(SubmissionError, match="nobody knows whether"):
        submit(gate, other, inline=True, display_name="one name")
    gate.what = "pass"
    (second,) = submit(gate, other, unsure_s=0.2, inline=True, display_name="one name")
    assert (second.status, made(gate)) == ("created", 2)
    assert second.batch != first.batch


def test_batch_of_another_model_is_never_found(gate: Gate, source: Path) -> None:
    submit(gate, source, inline=True)
    gate.what = "drop"
    with pytest.raises(SubmissionError, match="nobody knows whether"):
        submit(gate, source, inline=True, model="gemini-3.1-pro")
    gate.what = "pass"
    (second,) = submit(gate, source, unsure_s=0.2, inline=True, model="gemini-3.1-pro")
    assert (second.status, made(gate)) == ("created", 2)


def test_batch_of_another_machine_is_never_found(gate: Gate, source: Path, tmp_path: Path) -> None:
    """The same requests from a machine with a storage of its own: its batch has a tag that this one never gave."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    copy = elsewhere / source.name
    copy.write_bytes(source.read_bytes())
    submit(gate, copy, inline=True)
    gate.what = "drop"
    with pytest.raises(SubmissionError, match="nobody knows whether"):
        submit(gate, source, inline=True)
    gate.what = "pass"
    assert submit(gate, source, unsure_s=0.2, inline=True)[0].status == "created"


def test_name_with_a_look_of_a_tag_stays_whole(gate: Gate, source: Path) -> None:
    name = add_tag("evening", new_tag("0" * 20, 1))
    (sent,) = submit(gate, source, display_name=name)
    with Gemini(gate.url, "right-key") as gemini:
        assert gemini.get_batch(sent.batch).display_name == name
        assert [
            one.display_name for one in gemini.list_batches() if isinstance(one, Batch) and one.name == sent.batch
        ] == [name]


def test_mark_of_the_older_version_finds_its_batch(gate: Gate, source: Path) -> None:
    _, part, records = planned(source, inline=True, display_name=name_of(source))
    records.begin_try(part, 1, Creating(None, name_of(source), time.time()))
    made_before = create_untagged(gate, source, name_of(source))
    (sent,) = submit(gate, source, inline=True, display_name=name_of(source))
    assert (sent.status, sent.batch) == ("found", made_before)


def test_mark_of_the_older_version_leaves_a_named_batch(gate: Gate, source: Path, tmp_path: Path) -> None:
    """What another submission's record names is that submission's, however alike the two are."""
    other = tmp_path / "other.jsonl"
    other.write_text(source.read_text().replace("Hi", "Ho"))
    _, part, records = planned(other, inline=True, display_name=name_of(source))
    records.write_created(part, Created(create_untagged(gate, other, name_of(source))))
    _, part, records = planned(source, inline=True, display_name=name_of(source))
    records.begin_try(part, 1, Creating(None, name_of(source), time.time()))
    assert submit(gate, source, unsure_s=0.2, inline=True, display_name=name_of(source))[0].status == "created"


def test_lost_batch_that_cant_be_read_is_found_by_its_tag(source: Path) -> None:
    """Gemini says of it what no version of ours understands: it is made all the same, and is not made twice."""
    submission, part, records = planned(source, inline=True)
    tag = new_tag(submission.id, part.number)
    records.begin_try(part, 1, Creating(None, "evening", time.time(), tag))
    metadata = {"displayName": add_tag("evening", tag), "output": {"responsesFile": "gs://bucket/x"}}
    odd = json.dumps({"operations": [{"name": "batches/odd", "metadata": metadata}]}).encode()
    with answering(lambda _path, _headers: Answer(200, odd)) as url, Gemini(url, "right-key") as gemini:
        sent = sender_of(gemini, submission, source).send(part, source.parent)
    assert (sent.status, sent.batch, records.created(part)) == ("found", "batches/odd", Created("batches/odd"))


def test_two_marks_of_the_older_version_are_a_doubt(gate: Gate, source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text(source.read_text().replace("Hi", "Ho"))
    for path in (source, other):
        _, part, records = planned(path, inline=True, display_name=name_of(source))
        records.begin_try(part, 1, Creating(None, name_of(source), time.time()))
    create_untagged(gate, other, name_of(source))
    with pytest.raises(SubmissionError, match="may be this one or that of another submission of this name: nothing"):
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
    with Gemini(nowhere, "right-key") as gemini, pytest.raises(GeminiError, match="no answer from Gemini"):
        sender_of(gemini, submission, source).send(part, source.parent)
    assert [one.is_refused for one in records.tries(part)] == [True]
    started = time.monotonic()
    assert submit(gate, source, inline=True)[0].status == "created"
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("answer", ["{}", '{"name": "operations/x"}', '{"error": {"code": 13, "message": "down"}}'])
def test_answer_without_a_batch_is_a_doubt(source: Path, answer: str) -> None:
    submission, part, records = planned(source, inline=True)
    with (
        answering(lambda _path, _headers: Answer(200, answer.encode())) as url,
        Gemini(url, "right-key") as gemini,
        pytest.raises(SubmissionError, match="nobody knows whether Gemini made"),
    ):
        sender_of(gemini, submission, source).send(part, source.parent)
    assert records.created(part) is None
    assert [one.is_refused for one in records.tries(part)] == [False]


@pytest.mark.parametrize(
    ("status", "is_doubt"),
    [(400, False), (404, False), (429, False), (302, True), (408, True), (499, True), (503, True)],
)
def test_status_says_whether_a_batch_may_be_made(source: Path, status: int, is_doubt: bool) -> None:  # noqa: FBT001 - a case
    submission, part, records = planned(source, inline=True)
    with (
        answering(lambda _path, _headers: Answer(status, b"", {"location": "/elsewhere"})) as url,
        Gemini(url, "right-key") as gemini,
        pytest.raises(SubmissionError if is_doubt else GeminiError),
    ):
        sender_of(gemini, submission, source).send(part, source.parent)
    assert [one.is_refused for one in records.tries(part)] == [not is_doubt]


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
    folder = source.parent / "outputs" / first.batch.removeprefix("batches/")
    (folder / "_input.jsonl.gz").unlink()
    records = source.parent / "outputs" / "_submissions"
    (mark,) = records.glob("*/2.created.json")
    mark.unlink()
    (folder / "_manifest.json").touch()
    argv = [sys.executable, "-m", "workers", "batches", "submissions", mark.parent.name]
    done = subprocess.run(argv, env=settings(gate, source), capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == [
        f"{mark.parent.name} half done (requests.jsonl, {MODEL}): 5 requests, 1 of 2 batches sent, 1 stored",
        f"  part 1: {first.batch}: 3 requests, stored; its input is not kept: submit it again, nothing is sent twice",
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
    assert records.tries(part) == [Try(1, dead, is_refused=False)]
    records.begin_try(part, 2, dead)
    with pytest.raises(AlreadyStoredError):
        records.begin_try(part, 2, dead)
    records.note_refusal(part, 2)
    assert records.tries(part) == [Try(1, dead, is_refused=False), Try(2, dead, is_refused=True)]
    assert [one.status for one in submit(gate, source)] == ["created"]
    assert records.read_plan() == submission


def test_first_plan_holds(source: Path) -> None:
    submission, part, records = planned(source)
    other = msgspec.structs.replace(submission, parts=(part, part))
    assert records.settle_plan(other) == (submission, True)


def planned(source: Path, **wishes: Any) -> tuple[Submission, Part, Records]:
    storage, wish = LocalStorage(source.parent / "outputs"), Wish("", MODEL, **wishes)
    submission, _ = settle_submission(storage, source, draft_submission(source, wish, check_input(source, wish)))
    return submission, submission.parts[0], Records(storage, submission.id)


def test_embeddings_go_to_their_own_call(gate: Gate, source: Path) -> None:
    source.write_text(json.dumps({"key": uuid.uuid4().hex, "request": {"content": {"parts": [{"text": "Hi"}]}}}))
    (sent,) = submit(gate, source, model="gemini-embedding-001")
    assert gate.count(":asyncBatchEmbedContent") == 1
    assert stored_input(source, sent) == source.read_bytes()
    with pytest.raises(SubmissionError, match="inline embeddings carry no keys"):
        submit(gate, source, inline=True, is_embedding=True)


def test_own_webhook_hears_of_its_batch(gate: Gate, source: Path) -> None:
    with Callbacks() as callbacks:
        (sent,) = submit(gate, source, webhook=callbacks.url, metadata={"tenant": "acme"})
        event = json.loads(callbacks.wait()[0].body)
    assert event["data"]["id"].endswith(sent.batch.removeprefix("batches/"))
    assert event["user_metadata"] == {"tenant": "acme"}


def rewrite(source: Path) -> None:
    """Other words in as many bytes."""
    source.write_text(source.read_text().replace("Hi", "Ho"))


def shorten(source: Path) -> None:
    source.write_bytes(b"".join(source.read_bytes().splitlines(keepends=True)[:3]))


def replace(source: Path) -> None:
    other = source.with_name("other")
    other.write_text(source.read_text().replace("Hi", "Ho"))
    other.replace(source)


def lengthen_first(source: Path) -> None:
    source.write_bytes(b" " + source.read_bytes())


def delete(source: Path) -> None:
    source.unlink()


CHANGES = [rewrite, shorten, replace, lengthen_first, delete]


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_input_that_changed_after_the_check_is_not_sent(
    gate: Gate,
    source: Path,
    change: Callable[[Path], None],
    inline: bool,  # noqa: FBT001 - a case
) -> None:
    submission, part, _ = planned(source, inline=inline)
    change(source)
    with Gemini(gate.url, "right-key") as gemini, pytest.raises(SubmissionError, match="nothing of part 1 was sent"):
        sender_of(gemini, submission, source).send(part, source.parent)
    assert gate.paths == []


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("when", ["/upload/", ":batchGenerateContent"])
@pytest.mark.parametrize("change", CHANGES)
def test_input_that_changes_on_its_way_is_kept_as_sent(
    gate: Gate,
    source: Path,
    change: Callable[[Path], None],
    when: str,
    inline: bool,  # noqa: FBT001 - a case
) -> None:
    checked = source.read_bytes()
    gate.hear = lambda path: change(source) if when in path and source.exists() else None
    (sent,) = submit(gate, source, inline=inline)
    assert stored_input(source, sent) == checked
    if not inline:
        assert uploaded_hash(gate, sent) == hashlib.sha256(checked).hexdigest()


def uploaded_hash(gate: Gate, sent: Sent) -> str | None:
    with Gemini(gate.url, "right-key") as gemini:
        file = gemini.get_batch(sent.batch).input_file
        assert file is not None
        return Files(gemini.transport).get(file).sha256


def test_second_part_stops_where_the_input_changed(gate: Gate, source: Path) -> None:
    """The first part stays sent and kept; the same content goes on with the second."""
    before = source.read_bytes()
    gate.hear = lambda path: rewrite(source) if ":batchGenerateContent" in path else None
    with pytest.raises(SubmissionError, match="is not what it was when it was checked: nothing of part 2 was sent"):
        submit(gate, source, max_requests=3)
    gate.hear = lambda _path: None
    source.write_bytes(before)
    sent = submit(gate, source, max_requests=3)
    assert [one.status for one in sent] == ["known", "created"]
    assert b"".join(stored_input(source, one) for one in sent) == before


def test_batch_whose_input_is_not_kept_says_so(gate: Gate, source: Path) -> None:
    """A crash between create and keep, and then the file is another while it is checked anew."""
    (sent,) = submit(gate, source)
    submission, part, _ = planned(source)
    kept = source.parent / "outputs" / sent.batch.removeprefix("batches/") / "_input.jsonl.gz"
    kept.unlink()
    before = source.read_bytes()
    rewrite(source)
    words = f"part 1 is {sent.batch}, but its input is not kept: .* is not what it was when it was checked"
    with Gemini(gate.url, "right-key") as gemini, pytest.raises(SubmissionError, match=words):
        sender_of(gemini, submission, source).send(part, source.parent)
    source.write_bytes(before)
    assert submit(gate, source)[0].status == "known"
    assert stored_input(source, sent) == before


def test_lost_batch_is_noted_though_its_input_changed(gate: Gate, source: Path) -> None:
    submission, part, records = planned(source)
    gate.what = "lose"
    with pytest.raises(SubmissionError, match="nobody knows"):
        submit(gate, source)
    gate.what = "pass"
    rewrite(source)
    with Gemini(gate.url, "right-key") as gemini, pytest.raises(SubmissionError, match="but its input is not kept"):
        sender_of(gemini, submission, source).send(part, source.parent)
    assert records.created(part) is not None
    assert made(gate) == 1


def test_upload_that_holds_other_bytes_makes_no_batch(gate: Gate, source: Path) -> None:
    """The uploaded file that a record names turns out to hold something else."""
    submission, part, records = planned(source)
    other = b'{"key": "k", "request": {"contents": [{"parts": [{"text": "other"}]}]}}\n'
    with Gemini(gate.url, "right-key") as gemini:
        file = Files(gemini.transport).upload(io.BytesIO(other), len(other), "other")
        records.write_uploaded(part, Uploaded(file.name))
        sent = sender_of(gemini, submission, source).send(part, source.parent)
    assert uploaded_hash(gate, sent) == part.sha256


def test_plan_of_the_older_version_goes_on(gate: Gate, source: Path) -> None:
    """It names no hash of its parts, and was split in another way than the input would be today."""
    submission, _, _ = planned(source, max_requests=2)
    plan = source.parent / "outputs" / "_submissions" / submission.id / "plan.json"
    old = json.loads(plan.read_bytes())
    for part in old["parts"]:
        del part["sha256"]
    plan.write_text(json.dumps(old))
    sent = submit(gate, source)
    assert [one.part.requests for one in sent] == [2, 2, 1]
    assert b"".join(stored_input(source, one) for one in sent) == source.read_bytes()


def test_carriage_return_between_tokens_goes_inline(gate: Gate, source: Path) -> None:
    source.write_bytes(source.read_bytes().replace(b", ", b",\r ").replace(b"\n", b"\r\n"))
    (sent,) = submit(gate, source, inline=True)
    assert stored_input(source, sent) == source.read_bytes()
    with Gemini(gate.url, "right-key") as gemini:
        assert gemini.get_batch(sent.batch).requests == 5


def sender_of(gemini: Gemini, submission: Submission, source: Path) -> Sender:
    return Sender(gemini, LocalStorage(source.parent / "outputs"), submission, source, Ears())


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


def test_misspelt_model_sends_nothing(gate: Gate, source: Path) -> None:
    for more in ([], ["--dry-run"]):
        argv = [sys.executable, "-m", "workers", "batches", "submit", str(source), "--model", "gemini-3.8-flsh", *more]
        done = subprocess.run(argv, env=settings(gate, source), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert "nothing was sent; did you mean gemini-3.8-flash" in done.stderr
    assert gate.paths == []
    assert not (source.parent / "outputs" / "_submissions").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"GEMINI_API_KEY": "", "GOOGLE_API_KEY": ""}, "was not checked: these settings are wrong or missing"),
        ({"GEMINI_BASE_URL": "http://127.0.0.1:9"}, "was not checked: no answer from Gemini"),
    ],
)
def test_dry_run_says_that_the_model_was_not_checked(
    gate: Gate, source: Path, changes: dict[str, str], words: str
) -> None:
    env, argv = settings(gate, source) | changes, [sys.executable, "-m", "workers", *command(source), "--dry-run"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=True)
    assert words in done.stderr
    assert done.stdout.endswith("5 requests in 1 batches; nothing was sent\n")


def test_dry_run_says_what_would_be_sent(gate: Gate, source: Path) -> None:
    argv = [sys.executable, "-m", "workers", *command(source), "--dry-run", "--max-requests", "3"]
    done = subprocess.run(argv, env=settings(gate, source), capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.endswith("5 requests in 2 batches; nothing was sent\n")
    assert gate.paths == []
