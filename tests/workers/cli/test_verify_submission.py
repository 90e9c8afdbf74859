import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from receiver.cli import main
from receiver.storage import LocalStorage
from tests import nasty
from tests.workers.stored_batches import KEY, OTHER_KEY, used
from tests.workers.submissions.stored_submissions import StoredSubmission, request


@pytest.fixture
def stored(tmp_path: Path) -> StoredSubmission:
    stored = StoredSubmission.plan(LocalStorage(tmp_path), [request("k1"), request("k2")])
    stored.store(1, used("k1"), nasty.failure("k2", 8))
    stored.plan_round()
    stored.store(2, used("k2"))
    stored.plan_round()
    stored.finish(key=KEY)
    return stored


def run(tmp_path: Path, *args: str) -> Result:
    environ = {"GEMINI_API_KEY": "k", "STORAGE_URL": tmp_path.as_uri()}
    return CliRunner().invoke(main, ["submissions", "verify", *args], env=environ)


@pytest.mark.parametrize("options", [(), ("--records-only",)])
def test_proven_submission_is_said_to_be(
    stored: StoredSubmission, tmp_path: Path, options: tuple[str, ...]
) -> None:
    done = run(tmp_path, "evening", "--public-key", KEY.public_key, *options)
    expected = f"proven: 2 requests in 2 batches, signed by {KEY.public_key}\n"
    assert (done.exit_code, done.stdout) == (0, f"{stored.submission.id}: {expected}")


def test_programs_get_the_reports(stored: StoredSubmission, tmp_path: Path) -> None:
    done = run(tmp_path, stored.submission.id, "--json")
    (report,) = json.loads(done.stdout)
    assert (report["proven"], report["requests"], report["findings"]) == (True, 2, [])
    assert [one["batch"] for one in report["batches"]] == ["batches/b1", "batches/b2"]


def test_what_is_wrong_is_named(stored: StoredSubmission, tmp_path: Path) -> None:
    (tmp_path / "b2" / "k2.json").write_text("{}")
    done = run(tmp_path, stored.submission.id)
    assert done.exit_code == 1
    first, *rest, last = done.stdout.splitlines()
    assert first.startswith("b2/k2.json, line 1: ")
    assert last.startswith(f"{stored.submission.id}: not checked: ")
    assert run(tmp_path, stored.submission.id, "--records-only").exit_code == 0
    assert rest


def test_another_signer_is_refused(stored: StoredSubmission, tmp_path: Path) -> None:
    done = run(tmp_path, stored.submission.id, "--public-key", OTHER_KEY.public_key)
    assert done.exit_code == 1
    assert f"another key has signed: {KEY.public_key}" in done.stdout


def test_submission_that_goes_on_is_not_proven(tmp_path: Path) -> None:
    stored = StoredSubmission.plan(LocalStorage(tmp_path), [request("k1")])
    done = run(tmp_path, stored.submission.id)
    assert done.exit_code == 1
    assert "the submission has not ended" in done.stdout
