"""A submission of a table whose batch is stored, as `submissions export` finds it."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from receiver.outputs.manifest import Record
from receiver.outputs.paths import Template
from receiver.rows.asking import Asking
from receiver.rows.attachments import Attachments
from receiver.rows.keeping import (
    hash_file,
    keep_rows,
    keys_record,
    reused_record,
    table_record,
)
from receiver.rows.plan import RowFiles, RowsRecord, find_nothing, write_requests
from receiver.rows.prompts import Prompt
from receiver.rows.readers import TableFormat, read_columns
from receiver.storage import LocalStorage
from receiver.submissions.policy import Policy
from receiver.submissions.proof import MISSING, AnswerRow, SubmissionManifest, count_fates
from tests.workers.storing import PRICES, store
from workers.export.export import ExportJob
from workers.store.records import read_index


def answer_line(key: str, text: str, reason: str = "STOP", prompt: int = 100) -> bytes:
    candidate = {
        "content": {"parts": [{"text": text}], "role": "model"},
        "finishReason": reason,
    }
    usage = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": 20,
        "totalTokenCount": prompt + 20,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
    }
    response = {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": "gemini-3.5-flash",
    }
    return json.dumps({"response": response, "key": key}, ensure_ascii=False).encode()


def error_line(key: str, code: int = 8, message: str = "quota") -> bytes:
    return json.dumps({"key": key, "error": {"code": code, "message": message}}).encode()


@dataclass(frozen=True)
class Submitted:
    """A table, its requests, and the scratch folder of its exports."""

    storage: LocalStorage
    folder: Path
    record: RowsRecord | None
    requests: tuple[str, ...]  # keys

    def answer(self, lines: Mapping[str, bytes], template: Template) -> SubmissionManifest:
        """Store a batch with these lines by key, and the submission's answers and manifest."""
        store(self.storage, b"\n".join(lines.values()), len(self.requests), template=template)
        scratch = self.folder / "index"
        scratch.mkdir(exist_ok=True)
        found = {row.key: row for row in read_index(self.storage, "batches/b1", scratch)}
        rows = [
            AnswerRow(number, key, 0, "batches/b1", MISSING)
            if (row := found.get(key)) is None
            else AnswerRow(
                number,
                key,
                0,
                "batches/b1",
                row.outcome,
                row.object,
                row.offset,
                row.length,
                row.sha256,
            )
            for number, key in enumerate(self.requests, 1)
        ]
        return self.finish(rows)

    def finish(self, rows: Sequence[AnswerRow]) -> SubmissionManifest:
        data = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
        name = "_submissions/s1/answers.jsonl"
        self.storage.put_many([(name, data)])
        outcomes: dict[str, int] = {}
        for row in rows:
            outcomes[row.outcome] = outcomes.get(row.outcome, 0) + 1
        answered, blocked, failed, missing = count_fates(outcomes)
        return SubmissionManifest(
            submission="s1",
            project="",
            state="completed",
            reason=None,
            file="rows",
            display_name="rows",
            model="gemini-3.5-flash",
            requests=len(rows),
            answered=answered,
            blocked=blocked,
            failed=failed,
            missing=missing,
            outcomes=outcomes,
            balanced=True,
            rounds=0,
            batches=[],
            cost=None,
            estimate=None,
            policy=Policy(),
            ordered_at=0.0,
            input_sha256="",
            answers=Record(name, hashlib.sha256(data).hexdigest()),
            version="test",
        )

    def job(self, manifest: SubmissionManifest) -> ExportJob:
        scratch = self.folder / "scratch"
        scratch.mkdir()
        return ExportJob(self.storage, PRICES, manifest, self.record, scratch)


def ask_table(
    folder: Path,
    table: Path,
    form: TableFormat,
    find_stored: Callable[[bytes], AnswerRow | None] = find_nothing,
    **asked: Any,
) -> tuple[RowsRecord, RowFiles]:
    """The requests of a table with the columns `id` and `text`, and what is kept beside them."""
    columns = read_columns(table, form)
    asking = Asking(Prompt.parse("Rate: {{ text }}", columns), key="id", **asked)
    files = RowFiles.below(Path(tempfile.mkdtemp(dir=folder)), "requests")
    written = write_requests(table, form, asking, Attachments(folder).part, files, find_stored)
    record = RowsRecord(
        file=table.name,
        format=form,
        table=table_record(hash_file(table), form),
        columns=columns,
        rows=written.rows,
        requests=written.requests,
        key="id",
        keys=keys_record(hash_file(files.keys)),
        keys_sha256=written.keys_sha256,
        schema=asking.schema,
        reused=reused_record(hash_file(files.reused)) if written.reused else None,
        copied_from=written.copied_from,
    )
    return record, files


def submit_table(folder: Path, table: Path, form: TableFormat, **asked: Any) -> Submitted:
    """Turn a table with the columns `id` and `text` into the records of a submission."""
    storage = LocalStorage(folder / "outputs")
    record, files = ask_table(folder, table, form, **asked)
    keep_rows(storage, "s1", record, table, files)
    asked_keys = [json.loads(line)["key"] for line in files.requests.read_bytes().splitlines()]
    return Submitted(storage, folder, record, tuple(asked_keys))
