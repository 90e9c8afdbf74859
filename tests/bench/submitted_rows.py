"""A table of any size, and the submission of it that has ended: what `rows` measures on."""

import csv
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from receiver.outputs.manifest import Record
from receiver.outputs.paths import Template
from receiver.rows.keeping import keep_rows
from receiver.rows.plan import RowFiles
from receiver.storage import LocalStorage
from receiver.submissions.policy import Policy
from receiver.submissions.proof import (
    AnswerRow,
    SubmissionManifest,
    encode_submission_manifest,
)
from receiver.submissions.records import SubmissionRecords
from tests.workers.export.exporting import answer_line, ask_table
from tests.workers.storing import store_chunks
from workers.store.records import read_index

VERSION = 1  # of what lies in the folder
SUBMISSION = "s1"
PROMPT = "Rate: {{ text }}"
WORDS = "the parcel came late but the colour is what I had hoped for and it fits well"


@dataclass(frozen=True)
class SubmittedRows:
    """A folder with `rows.csv` and its storage in `outputs`."""

    folder: Path
    rows: int

    @property
    def table(self) -> Path:
        return self.folder / "rows.csv"

    @property
    def results(self) -> Path:
        """Gemini's lines, as they are stored."""
        return self.folder / "outputs" / "b1" / "all.jsonl"


def cached_rows(data: Path, rows: int) -> SubmittedRows:
    """The folder for so many rows, which is made at the first call."""
    folder = data / f"rows-{rows}-v{VERSION}"
    if not folder.exists():
        data.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix="rows-", dir=data))
        _make(new, rows)
        new.rename(folder)
    return SubmittedRows(folder, rows)


def _make(folder: Path, rows: int) -> None:
    table = folder / "rows.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        writer.writerows([f"row-{number}", f"{number}: {WORDS}"] for number in range(rows))
    record, files = ask_table(folder, table, "csv")
    storage = LocalStorage(folder / "outputs")
    keep_rows(storage, SUBMISSION, record, table, files)
    template = Template.parse("{batch}/all.jsonl")
    store_chunks(storage, _lines(files), rows, template)
    _finish(storage, folder, rows)
    shutil.rmtree(files.requests.parent)


def _lines(files: RowFiles) -> Iterator[bytes]:
    with files.requests.open("rb") as requests:
        for request in requests:
            key = json.loads(request)["key"]
            yield answer_line(key, f"{key} is a mixed review, since {WORDS}; {WORDS}.") + b"\n"


def _finish(storage: LocalStorage, folder: Path, rows: int) -> None:
    records, digest = SubmissionRecords(storage, SUBMISSION), hashlib.sha256()
    path = folder / "answers"
    with path.open("wb") as file:
        for number, row in enumerate(read_index(storage, "batches/b1", folder), 1):
            place = (row.object, row.offset, row.length, row.sha256)
            answer = AnswerRow(number, row.key or "", 0, "batches/b1", row.outcome, *place)
            line = msgspec.json.encode(answer) + b"\n"
            digest.update(line)
            file.write(line)
    storage.put_files([(records.answers_name, path)])
    manifest = SubmissionManifest(
        submission=SUBMISSION,
        project="",
        state="completed",
        reason=None,
        file="rows.csv",
        display_name="rows",
        model="gemini-3.5-flash",
        requests=rows,
        answered=rows,
        blocked=0,
        failed=0,
        missing=0,
        outcomes={"ok": rows},
        balanced=True,
        rounds=0,
        batches=[],
        cost=None,
        estimate=None,
        policy=Policy(),
        ordered_at=0.0,
        input_sha256="",
        answers=Record(records.answers_name, digest.hexdigest()),
        version="bench",
    )
    storage.put_many([(records.manifest_name, encode_submission_manifest(manifest))])
