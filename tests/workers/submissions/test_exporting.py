"""`--export`: workers write the table before the submission has ended, and try until they can."""

import csv
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from receiver.cli import main
from receiver.errors import StorageError
from receiver.storage import LocalStorage
from receiver.submissions.policy import Policy
from receiver.submissions.proof import SubmissionManifest
from tests.workers.stored_batches import used
from tests.workers.submissions.advancing import Advancing, Submitted
from tests.workers.submissions.stored_submissions import StoredSubmission, request
from tests.workers.submissions.test_completion import end
from workers.submissions.finishing import write_proof
from workers.submissions.part_results import Reading


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def new_folder(folder: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=folder))


def show(submitted: Submitted) -> str:
    return CliRunner().invoke(main, ["submissions", "show", submitted.submission.id]).stdout


def test_a_later_round_replaces_the_table(advancing: Advancing, tmp_path: Path) -> None:
    target = tmp_path / "out" / "answers.csv"
    policy = Policy(rounds=0, export=target.as_uri())
    text = "[sandbox:error 14 x1]"
    submitted = advancing.submit(requests=2, per_part=2, policy=policy, text=text)
    assert f"table       {target} (at its end)" in show(submitted).splitlines()
    manifest = end(submitted, new_folder(tmp_path))
    assert manifest.policy.export == target.as_uri()
    rows = read_table(target)
    assert [row["_outcome"] for row in rows] == ["error", "error"]
    assert f"table       {target}" in show(submitted).splitlines()

    submitted.records.write_policy(Policy(rounds=1, export=target.as_uri()))
    submitted.order("run", at=2.0)
    end(submitted, new_folder(tmp_path))
    after = read_table(target)
    assert [row["_outcome"] for row in after] == ["ok", "ok"]
    assert [row["key"] for row in after] == [row["key"] for row in rows]
    assert list(target.parent.iterdir()) == [target]


def test_a_place_that_fails_is_an_outage(advancing: Advancing, tmp_path: Path) -> None:
    """It is told, and tried again; the submission has not ended before the table is there."""
    folder = tmp_path / "out"
    folder.write_text("in the way")
    target = folder / "answers.csv"
    submitted = advancing.submit(requests=1, policy=Policy(rounds=0, export=target.as_uri()))
    submitted.advance()
    submitted.store_batches()
    submitted.wake()
    entry = submitted.advance()
    assert entry.state == "open"
    assert entry.cause.startswith(f"the export to {target} waits: ")
    assert submitted.records.read_manifest() is None
    assert f"the export to {target} waits: " in show(submitted)

    folder.unlink()
    submitted.wake()
    assert submitted.advance().state == "done"
    assert [row["_outcome"] for row in read_table(target)] == ["ok"]


def test_a_person_may_give_the_table_up(advancing: Advancing, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    policy = Policy(rounds=0, export=(tmp_path / "out" / "answers.csv").as_uri())
    submitted = advancing.submit(requests=1, policy=policy)
    submitted.advance()
    submitted.store_batches()
    submitted.wake()
    assert submitted.advance().state == "open"
    command = ["submissions", "resume", submitted.submission.id, "--export", "none"]
    assert CliRunner().invoke(main, command).exit_code == 0
    submitted.wake()
    assert submitted.advance().state == "done"


def test_no_manifest_is_written_before_the_table(tmp_path: Path) -> None:
    """A worker that dies in between leaves a submission that another one ends with its table."""
    stored = StoredSubmission.plan(LocalStorage(tmp_path / "outputs"), [request("k1")])
    stored.store(1, used("k1"))
    seen = list[tuple[bool, bool]]()

    def export(manifest: SubmissionManifest) -> None:
        there = stored.storage.exists(manifest.answers.name)
        seen.append((there, stored.storage.exists(stored.records.manifest_name)))
        if len(seen) == 1:
            raise StorageError("the place is away")

    def finish() -> None:
        with tempfile.TemporaryDirectory() as scratch:
            reading = Reading(stored.storage, Path(scratch), lambda: None)
            write_proof(reading, stored.state, None, None, export)

    with pytest.raises(StorageError, match="the place is away"):
        finish()
    finish()
    assert seen == [(True, False)] * 2
    assert stored.storage.exists(stored.records.manifest_name)
