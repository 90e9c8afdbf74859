"""What `verify` says of a submission that was made of a table, and of the records of a wait."""

import hashlib
import json
from pathlib import Path

import msgspec
import pytest

from receiver.errors import ExportError
from receiver.rows.asking import Asking
from receiver.rows.attachments import Attachments
from receiver.rows.keeping import (
    hash_file,
    keep_rows,
    keys_record,
    read_rows_record,
    table_record,
)
from receiver.rows.plan import RowFiles, RowsRecord, write_requests
from receiver.rows.prompts import Prompt
from receiver.storage import LocalStorage
from tests.workers.stored_batches import used
from tests.workers.submissions.stored_submissions import StoredSubmission
from tests.workers.submissions.tamperings import MODEL, Copied

TABLE = b"id,text\na,good\nb,bad\nc,good\n"


@pytest.fixture
def copied(tmp_path: Path) -> Copied:
    """Three rows of two requests, both answered, as `batches submit` and workers leave them."""
    table, sha256 = tmp_path / "reviews.csv", hashlib.sha256(TABLE).hexdigest()
    table.write_bytes(TABLE)
    files = RowFiles.below(tmp_path, "requests")
    asking = Asking(Prompt.parse("Rate: {{ text }}", ("id", "text")), key="id")
    written = write_requests(table, "csv", asking, Attachments(tmp_path).part, files)
    record = RowsRecord(
        file=table.name,
        format="csv",
        table=table_record(sha256, "csv"),
        columns=("id", "text"),
        rows=written.rows,
        requests=written.requests,
        key="id",
        keys=keys_record(hash_file(files.keys)),
        keys_sha256=written.keys_sha256,
    )
    storage = LocalStorage(tmp_path / "outputs")
    asked = files.requests.read_bytes().splitlines(keepends=True)
    stored = StoredSubmission.plan(storage, asked, model=MODEL, table_sha256=sha256)
    keep_rows(storage, stored.submission.id, record, table, files)
    stored.store(1, used("a", "great"), used("b", "poor"))
    stored.plan_round()
    stored.finish()
    return Copied(storage, stored.submission.id)


def test_submission_of_a_table_is_proven(copied: Copied) -> None:
    report = copied.verify()
    assert report.off == 0, report.findings


def test_record_of_a_first_look_is_no_stray(copied: Copied) -> None:
    copied.put(f"{copied.folder}/1.looked.1.json", b'{"at": 1.0}')
    report = copied.verify()
    assert report.off == 0, report.findings


@pytest.mark.parametrize("kind", ["rows.json", "csv", "keys.gz"])
@pytest.mark.parametrize("deed", ["spoil", "delete"])
def test_what_a_table_left_is_proven(copied: Copied, kind: str, deed: str) -> None:
    record = json.loads(copied.read(f"{copied.folder}/rows.json"))
    names = {
        "rows.json": f"{copied.folder}/rows.json",
        "csv": record["table"]["name"],
        "keys.gz": record["keys"]["name"],
    }
    if deed == "delete":
        copied.storage.delete(names[kind])
    else:
        copied.edit(names[kind], lambda data: data.replace(b"a", b"e").replace(b"\0", b"\1"))
    report = copied.verify()
    assert names[kind] in " ".join(map(str, report.findings))


def test_table_of_another_submission_proves_nothing(copied: Copied) -> None:
    name = f"{copied.folder}/rows.json"
    record = json.loads(copied.read(name))
    record["table"]["sha256"] = "0" * 64
    copied.put(name, json.dumps(record).encode())
    assert "another table than the plan" in " ".join(map(str, copied.verify().findings))


@pytest.mark.parametrize("deed", ["change", "delete"])
def test_record_that_is_not_that_of_the_manifest_is_not_exported(copied: Copied, deed: str) -> None:
    name = f"{copied.folder}/rows.json"
    proven = {one["name"]: one["sha256"] for one in copied.manifest["records"]}
    assert read_rows_record(copied.storage, copied.id, proven) is not None
    if deed == "delete":
        copied.storage.delete(name)
    else:
        copied.edit(name, lambda data: data.replace(b'"text"', b'"best"'))
    with pytest.raises(ExportError, match=f"{name} has changed since, or is gone"):
        read_rows_record(copied.storage, copied.id, proven)


def test_record_of_a_table_stays_when_it_is_submitted_again(copied: Copied, tmp_path: Path) -> None:
    name = f"{copied.folder}/rows.json"
    before = copied.read(name)
    record = msgspec.json.decode(before, type=RowsRecord)
    record = msgspec.structs.replace(record, file="renamed.csv")
    files = RowFiles.below(tmp_path, "requests")
    keep_rows(copied.storage, copied.id, record, tmp_path / "reviews.csv", files)
    assert copied.read(name) == before
