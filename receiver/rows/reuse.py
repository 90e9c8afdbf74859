"""Answers that finished submissions already have: `--reuse` takes them for equal requests."""

import gzip
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, Self

import msgspec

from receiver.errors import SubmissionError
from receiver.outputs.outcomes import ANSWERED
from receiver.outputs.paths import manifest_name
from receiver.rows.asking import digest_request
from receiver.rows.keeping import hash_file
from receiver.rows.scratch_database import ScratchDatabase
from receiver.storage import Storage
from receiver.submissions.proof import AnswerRow, SubmissionManifest, read_answer_row
from receiver.submissions.records import SubmissionRecords, list_submissions, requests_name
from receiver.submissions.submission import Part, Submission

TABLE = "CREATE TABLE stored (digest BLOB PRIMARY KEY, answer BLOB) WITHOUT ROWID"


class _Line(msgspec.Struct, gc=False):
    key: str
    request: dict[str, Any]


_decode_line = msgspec.json.Decoder(_Line).decode


class StoredAnswers:
    """The answers of a model's stored requests; a context manager.

    Every call raises StorageError where the scratch disk fails.
    """

    def __init__(self, path: Path) -> None:
        self._database = ScratchDatabase(path, TABLE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.__exit__()

    def find(self, digest: bytes) -> AnswerRow | None:
        """The answer of a stored request of this digest."""
        row = self._database.find("SELECT answer FROM stored WHERE digest = ?", (digest,))
        return None if row is None else msgspec.msgpack.decode(row[0], type=AnswerRow)

    def load(
        self,
        storage: Storage,
        model: str,
        project: str,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> int:
        """Remember the answers of every finished submission to a model. Gives how many there are.

        `on_progress` is told of requests that were looked at. Raises StorageError and
        SubmissionError; what can't be read of one submission is left out.
        """
        insert = "INSERT INTO stored VALUES (?, ?) ON CONFLICT DO NOTHING"
        for submission in list_submissions(storage):
            spec = submission.spec
            if (spec.project, spec.model) != (project, model) or spec.kind != "generate":
                continue
            # What is not whole, or of others, is left out.
            with suppress(OSError, EOFError, zlib.error, ValueError, SubmissionError):
                manifest = SubmissionRecords(storage, submission.id).read_manifest()
                if manifest is None:
                    continue
                pairs = _answered(storage, submission, manifest, on_progress)
                self._database.change_all(insert, pairs)
        count: int = self._database.find("SELECT count(*) FROM stored")[0]
        return count


def _answered(
    storage: Storage,
    submission: Submission,
    manifest: SubmissionManifest,
    on_progress: Callable[[int], None],
) -> Iterator[tuple[bytes, bytes]]:
    """Digest and answer of each request that has one; both files are in the input's order.

    Batches that were deleted from the storage have none any more.
    """
    batches = (one.batch for one in manifest.batches)
    stored = {batch for batch in batches if storage.exists(manifest_name(batch))}
    with tempfile.TemporaryDirectory(prefix="gbr-") as folder:
        answers = Path(folder) / "answers"
        is_there = storage.read_to_file(manifest.answers.name, answers)
        if not is_there or hash_file(answers) != manifest.answers.sha256:
            return
        parts = (part for part in submission.parts if not part.round)
        lines = chain.from_iterable(_read_requests(storage, part, Path(folder)) for part in parts)
        with answers.open("rb") as rows:
            for line, row in zip(lines, rows, strict=True):
                on_progress(1)
                answer = read_answer_row(row)
                if answer.outcome not in ANSWERED or answer.batch not in stored:
                    continue
                request = _decode_line(line)
                if request.key != answer.key:
                    return
                yield digest_request(request.request), msgspec.msgpack.encode(answer)


def _read_requests(storage: Storage, part: Part, folder: Path) -> Iterator[bytes]:
    path = folder / "requests"
    if storage.read_to_file(requests_name(part.sha256), path):
        with gzip.open(path, "rb") as lines:
            yield from lines
