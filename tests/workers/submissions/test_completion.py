"""A submission ends by itself, whatever becomes of its requests at first, and its proof holds."""

from pathlib import Path

import pytest

from receiver.submissions.policy import Policy
from receiver.submissions.proof import SubmissionManifest
from tests.workers.submissions.advancing import Advancing, Submitted
from workers.submissions.verify_submission import verify_submission


def end(submitted: Submitted, scratch: Path) -> SubmissionManifest:
    """Its manifest, which is proven."""
    assert submitted.finish().state == "done"
    manifest = submitted.records.read_manifest()
    assert manifest is not None
    report = verify_submission(submitted.world.storage, submitted.submission.id, scratch)
    assert report.off == 0, report.findings
    return manifest


@pytest.mark.parametrize("marker", ["error 14", "empty", "status 503"])
def test_passing_failures_are_answered_in_a_round(
    advancing: Advancing, tmp_path: Path, marker: str
) -> None:
    text = f"[sandbox:{marker} x1]"
    submitted = advancing.submit(requests=4, per_part=2, policy=Policy(), text=text)
    manifest = end(submitted, tmp_path)
    assert (manifest.state, manifest.reason, manifest.rounds) == ("completed", None, 1)
    assert (manifest.requests, manifest.answered, manifest.balanced) == (4, 4, True)
    assert len(manifest.batches) == advancing.created == 4
    data = advancing.storage.read(manifest.answers.name)
    assert data is not None
    assert data.count(b'"round":1') == data.count(b"\n") == 4


@pytest.mark.parametrize(
    ("marker", "fate"), [("error 3", "failed"), ("blocked", "blocked"), ("truncated", "failed")]
)
def test_what_cannot_succeed_is_sent_once(
    advancing: Advancing, tmp_path: Path, marker: str, fate: str
) -> None:
    submitted = advancing.submit(
        requests=2, per_part=2, policy=Policy(), text=f"[sandbox:{marker}]"
    )
    manifest = end(submitted, tmp_path)
    assert (manifest.state, manifest.rounds, getattr(manifest, fate)) == ("completed", 0, 2)
    assert advancing.created == 1


def test_rounds_are_used_up(advancing: Advancing, tmp_path: Path) -> None:
    """Then a person may allow more, and it goes on where it stopped."""
    policy, text = Policy(rounds=1), "[sandbox:error 14 x2]"
    submitted = advancing.submit(requests=2, per_part=2, policy=policy, text=text)
    manifest = end(submitted, tmp_path)
    assert (manifest.state, manifest.reason) == ("stopped", "rounds")
    assert (manifest.failed, manifest.rounds, advancing.created) == (2, 1, 2)

    submitted.records.write_policy(Policy(rounds=2))
    submitted.order("run", at=2.0)
    (tmp_path / "later").mkdir()
    manifest = end(submitted, tmp_path / "later")
    assert (manifest.state, manifest.answered, manifest.rounds) == ("completed", 2, 2)
    assert advancing.created == 3


def test_parts_that_are_sent_one_by_one_are_proven_too(
    advancing: Advancing, tmp_path: Path
) -> None:
    submitted = advancing.submit(requests=2, per_part=2, policy=Policy(), lane="flex")
    manifest = end(submitted, tmp_path)
    assert (manifest.state, manifest.answered, advancing.created) == ("completed", 2, 0)
