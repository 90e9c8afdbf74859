"""The proof of a submission that was made of a table: every row has one answer, and none is lost."""

import csv
import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from receiver.outputs.proof_keys import PublicKey
from receiver.rows.asking import digest_request
from receiver.rows.keeping import keep_rows
from receiver.storage import LocalStorage
from receiver.submissions.notices import describe_submission
from receiver.submissions.proof import AnswerRow
from tests.workers.export.exporting import ask_table
from tests.workers.stored_batches import KEY, used
from tests.workers.submissions.stored_submissions import StoredSubmission
from tests.workers.submissions.tamperings import MODEL, Copied, sha256
from tests.workers.submissions.test_verify_submission import flip, said

PUBLIC = PublicKey.parse(KEY.public_key)
TEXTS = ("good", "bad", "good", "known", "known")


def make(folder: Path) -> StoredSubmission:
    """Five rows: two are asked, one is a copy, one was asked before, and one copies that."""
    table = folder / "rows.csv"
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "text"])
        rows.writerows([f"r{number}", text] for number, text in enumerate(TEXTS))
    prompt = {"contents": [{"role": "user", "parts": [{"text": "Rate: known"}]}]}
    earlier = AnswerRow(1, "x", 0, "batches/earlier", "ok", "earlier/x.json", 0, 2, "00")
    record, files = ask_table(folder, table, "csv", {digest_request(prompt): earlier}.get)
    storage = LocalStorage(folder / "outputs")
    stored = StoredSubmission.plan(
        storage,
        files.requests.read_bytes().splitlines(keepends=True),
        model=MODEL,
        table_sha256=record.table.sha256,
    )
    keep_rows(storage, stored.submission.id, record, table, files)
    stored.store(1, used("r0", "fine"), used("r1", "poor"))
    stored.plan_round()
    return stored


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("original")
    stored = make(folder)
    stored.finish(key=KEY)
    return folder / "outputs", stored.submission.id


@pytest.fixture
def copied(original: tuple[Path, str], tmp_path: Path) -> Copied:
    folder, submission_id = original
    shutil.copytree(folder, tmp_path / "outputs")
    return Copied(LocalStorage(tmp_path / "outputs"), submission_id)


def test_manifest_tells_of_the_rows(tmp_path: Path) -> None:
    manifest = make(tmp_path).finish()
    rows = manifest.rows
    assert rows is not None
    assert (rows.rows, rows.requests, rows.copied, rows.reused) == (5, 2, 2, 1)
    assert rows.rows == rows.requests + rows.copied + rows.reused
    assert rows.copied_from == {"batches/earlier": 1}
    notice = describe_submission(manifest).data
    assert notice["rows"] == {"rows": 5, "copied": 2, "reused": 1, "saved": 3}


def test_untouched_table_is_proven(copied: Copied) -> None:
    report = copied.verify(PUBLIC)
    assert report.off == 0, said(report)


def test_every_object_of_the_table_is_proven(copied: Copied) -> None:
    names = [*copied.storage.list_names("_rows"), f"{copied.folder}/rows.json"]
    assert len(names) == 4
    for name in names:
        data = copied.read(name)
        for spoilt in (flip(data, len(data) // 2), data[: len(data) // 2], None):
            if spoilt is None:
                copied.storage.delete(name)
            else:
                copied.put(name, spoilt)
            assert f"{name}: " in said(copied.verify()), name
        copied.put(name, data)
    assert copied.verify(PUBLIC).off == 0


def _edit_keys(copied: Copied, change: Callable[[list[Any]], list[Any]]) -> None:
    """Change the keys, and every digest of them, as one does to cover tracks."""
    name = f"{copied.folder}/rows.json"
    record = json.loads(copied.read(name))
    keys = gzip.decompress(copied.read(record["keys"]["name"])).splitlines()
    lines = change([json.loads(key) for key in keys])
    data = gzip.compress(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    copied.put(record["keys"]["name"], data)
    record["keys"]["sha256"] = sha256(data)
    copied.put(name, json.dumps(record).encode())
    manifest = copied.manifest
    manifest["rows"]["objects"][1]["sha256"] = sha256(data)
    manifest["records"][1]["sha256"] = sha256(copied.read(name))
    copied.say(rows=manifest["rows"], records=manifest["records"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda keys: keys[:-1], "it says 5 as rows of rows, where 4 was found"),
        (lambda keys: [*keys[:2], keys[3], keys[2], keys[4]], "as keys_sha256 of rows"),
        (lambda keys: [*keys[:4], {"key": "r4"}], "it says 2 as requests of rows, where 3"),
    ],
)
def test_rows_that_do_not_add_up_are_found(
    copied: Copied, change: Callable[[list[Any]], list[Any]], words: str
) -> None:
    _edit_keys(copied, change)
    plain, signed = copied.verify(), copied.verify(PUBLIC)
    assert words in said(plain)
    assert signed.off > 0


def test_manifest_without_its_rows_is_off(copied: Copied) -> None:
    copied.say(rows=None)
    assert "it lacks the rows of the table" in said(copied.verify())


def test_the_same_table_by_another_name_changes_no_proof(tmp_path: Path) -> None:
    """Whoever submits again may have renamed it."""
    stored = make(tmp_path)
    stored.finish()
    copied = Copied(stored.storage, stored.submission.id)
    before = copied.read(f"{copied.folder}/rows.json")
    table = (tmp_path / "rows.csv").rename(tmp_path / "renamed.csv")
    record, files = ask_table(tmp_path, table, "csv")
    keep_rows(stored.storage, stored.submission.id, record, table, files)
    assert copied.read(f"{copied.folder}/rows.json") == before
    assert copied.verify().off == 0
