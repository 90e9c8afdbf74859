"""A part that is sent one by one has outputs, books and a manifest as a batch has."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from receiver.outputs.manifest import Cost, Manifest, Priced
from receiver.submissions.flex_records import FlexRecords
from receiver.submissions.policy import Policy
from tests.chaos.system import is_running
from tests.running import CLIENT, HEADERS, running_program, set_faults
from tests.waiting import eventually
from tests.workers.submissions.advancing import Advancing, Submitted
from workers.store.manifest import load_manifest
from workers.submissions.flex_lane import MAX_CALLS
from workers.verification.findings import Discrepancy
from workers.verification.verify_batch import verify_batch


@pytest.fixture(autouse=True)
def _no_faults_after(advancing: Advancing) -> Iterator[None]:
    yield
    CLIENT.delete(f"{advancing.gate.upstream}/sandbox/faults").raise_for_status()


def payments(submitted: Submitted) -> list[str]:
    """The requests of a submission that were paid for, each as often as it was."""
    answer = CLIENT.get(f"{submitted.world.gate.upstream}/sandbox/payments", headers=HEADERS)
    texts = [one["text"] for one in answer.json()["payments"]]
    return [text for text in texts if submitted.submission.file.removesuffix(".jsonl") in text]


def manifest_of(submitted: Submitted) -> Manifest:
    (name,) = submitted.batches()
    manifest = load_manifest(submitted.world.storage, name)
    assert manifest is not None
    return manifest


def verify(submitted: Submitted, scratch: Path) -> list[Discrepancy]:
    (name,) = submitted.batches()
    scratch.mkdir(exist_ok=True)
    return verify_batch(submitted.world.storage, name, scratch).findings


def test_part_becomes_a_folder_like_a_batchs(advancing: Advancing, tmp_path: Path) -> None:
    submitted = advancing.submit(20, 20, lane="flex")
    assert submitted.advance().state == "done"
    assert submitted.batches() == [f"batches/flex-{submitted.submission.id}-1"]
    manifest = manifest_of(submitted)
    assert (manifest.requests, manifest.outcomes["ok"], manifest.missing) == (20, 20, 0)
    assert manifest.balanced is True
    assert (manifest.state, manifest.model) == ("SUCCEEDED", "models/gemini-3.5-flash")
    assert isinstance(manifest.cost, Cost), manifest.priced
    assert manifest.objects.count == 20
    assert len(payments(submitted)) == len(set(payments(submitted))) == 20
    assert not advancing.created
    assert not verify(submitted, tmp_path / "scratch")


def test_flex_costs_what_a_batch_costs(advancing: Advancing) -> None:
    costs = []
    for lane in ("flex", "batch"):
        submitted = advancing.submit(1, 1, text="the same for both", lane=lane)
        submitted.finish()
        costs.append(manifest_of(submitted).cost)
    assert isinstance(costs[0], Cost)
    assert isinstance(costs[1], Cost)
    assert costs[0].input == costs[1].input  # the answers are made up, and differ


def test_rounds_follow_a_flex_part(advancing: Advancing) -> None:
    text = "[sandbox:empty x1]"
    submitted = advancing.submit(3, 3, Policy(rounds=1), text=text, lane="flex")
    assert submitted.finish().summary.state == "completed"
    assert len(submitted.batches()) == 2
    assert len(payments(submitted)) == 6


def test_lost_answers_leave_the_cost_unknown(advancing: Advancing, tmp_path: Path) -> None:
    submitted = advancing.submit(3, 3, lane="flex")
    records = FlexRecords(advancing.storage, submitted.submission.id, 1)
    assert records.begin(2, 1)  # a process began it, and died
    submitted.advance()
    manifest = manifest_of(submitted)
    assert (manifest.outcomes["ok"], manifest.outcomes["error"]) == (2, 1)
    assert manifest.cost == "unknown"
    assert isinstance(manifest.priced, Priced)
    assert (manifest.priced.answers, manifest.priced.of) == (2, 3)
    assert not any(" 1 " in text[:3] for text in payments(submitted))
    assert len(payments(submitted)) == 2
    assert not verify(submitted, tmp_path / "scratch")


def test_full_tier_hands_back_and_goes_on(advancing: Advancing) -> None:
    submitted = advancing.submit(3, 3, lane="flex")
    full = {"status": 503, "times": 3, "retry_after": 100}
    set_faults(advancing.gate.upstream, generate_status=full)
    entry = submitted.advance()
    assert (entry.state, entry.attempts) == ("open", 0)
    assert entry.cause == "requests are being sent with the tier flex"
    submitted.accept()
    assert submitted.advance().state == "done"
    assert len(payments(submitted)) == 3


def test_cancelled_part_keeps_what_was_answered(advancing: Advancing, tmp_path: Path) -> None:
    submitted = advancing.submit(3, 3, lane="flex")
    full = {"status": 503, "times": "all", "retry_after": 100, "share": 0.5}
    set_faults(advancing.gate.upstream, generate_status=full)
    submitted.advance()
    answered = len(payments(submitted))
    assert 0 < answered < 3
    set_faults(advancing.gate.upstream, generate_status=None)
    submitted.order("cancel")
    assert submitted.advance().state == "done"
    manifest = manifest_of(submitted)
    assert (manifest.outcomes["ok"], manifest.outcomes["error"]) == (answered, 3 - answered)
    assert isinstance(manifest.cost, Cost)
    assert len(payments(submitted)) == answered
    assert not verify(submitted, tmp_path / "scratch")


def test_embeddings_are_refused(advancing: Advancing) -> None:
    submitted = advancing.submit(1, 1, lane="flex")
    plan = submitted.submission
    spec = msgspec.structs.replace(plan.spec, kind="embed")
    submitted.records.complete_plan(msgspec.structs.replace(plan, spec=spec))
    entry = submitted.advance()
    assert "embeddings can't be sent with the tier flex" in entry.cause
    assert not payments(submitted)


def test_sigterm_hands_back_a_part_within_five_seconds(
    advancing: Advancing, tmp_path: Path
) -> None:
    submitted = advancing.submit(MAX_CALLS + 4, MAX_CALLS + 4, lane="flex")
    set_faults(advancing.gate.upstream, delay_answers_s=60)
    with running_program(tmp_path, {}, "worker") as pid:
        eventually(lambda: len(payments(submitted)) == MAX_CALLS, 20, "calls under way")
        begun = time.monotonic()
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: submitted.entry.state == "open", 5, "the part handed back")
        eventually(lambda: not is_running(pid), 5 - (time.monotonic() - begun), "the end")
    assert submitted.entry.attempts == 0
    set_faults(advancing.gate.upstream, delay_answers_s=0)
    assert submitted.advance().state == "done"
    manifest = manifest_of(submitted)
    assert (manifest.outcomes["ok"], manifest.outcomes["error"]) == (4, MAX_CALLS)
    assert len(set(payments(submitted))) == len(payments(submitted)) == MAX_CALLS + 4
