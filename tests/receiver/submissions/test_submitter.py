"""Every step of a submission can fail; no batch is made twice, and none is forgotten."""

import json
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver.errors import GeminiError, SubmissionError
from receiver.gemini.batches import Gemini
from receiver.submissions.planning import SubmitRequest, check_input
from tests.forwarding import Gate
from tests.receiver.submissions.submitting import MODEL, made, planned, stored_input, submit
from tests.running import CLIENT, HEADERS
from tests.sandbox.callbacks import Callbacks


def test_input_becomes_one_batch_and_is_kept(gate: Gate, source: Path) -> None:
    (sent,) = submit(gate, source)
    assert (sent.status, made(gate)) == ("created", 1)
    assert stored_input(source, sent) == source.read_bytes()
    with Gemini(gate.url, "right-key") as gemini:
        batch = gemini.get_batch(sent.batch)
    assert (batch.requests, batch.display_name) == (
        5,
        f"requests-{check_input(source, SubmitRequest('', MODEL)).sha256[:8]}",
    )
    assert not list((source.parent / "outputs" / "_submissions").glob("*.awaited"))


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


@pytest.mark.parametrize(
    "options", [{"display_name": "other"}, {"retry_of": "batches/x"}, {"inline": True}]
)
def test_other_options_make_another_batch(
    gate: Gate, source: Path, options: dict[str, Any]
) -> None:
    submit(gate, source)
    (sent,) = submit(gate, source, **options)
    assert (sent.status == "known") == ("inline" in options)


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
    CLIENT.delete(
        f"{gate.upstream}/v1beta/{json.loads(record.read_bytes())['file']}", headers=HEADERS
    )
    submit(gate, source)
    assert gate.count("upload_id") == 2


def test_first_plan_holds(source: Path) -> None:
    submission, part, records = planned(source)
    other = msgspec.structs.replace(submission, parts=(part, part))
    assert records.settle_plan(other) == (submission, True)


def test_embeddings_go_to_their_own_call(gate: Gate, source: Path) -> None:
    source.write_text(
        json.dumps({"key": uuid.uuid4().hex, "request": {"content": {"parts": [{"text": "Hi"}]}}})
    )
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


def test_wrong_input_sends_nothing(gate: Gate, source: Path) -> None:
    source.write_text('{"key": "k"}\n' * 30)
    with pytest.raises(
        SubmissionError, match=r"30 lines of .* are no requests:\n  line 1: it has no"
    ) as caught:
        submit(gate, source)
    assert str(caught.value).endswith("and 10 more")
    assert gate.paths == []
