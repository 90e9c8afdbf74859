"""Sends a planned submission part by part: upload, create, keep the input. Every step can be run again after any crash.

Gemini has no key that makes a second create harmless. So a mark is written before the call, and whoever finds the mark
without its batch looks for the batch in Gemini's list before he makes one.
"""

import gzip
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import msgspec

from receiver.errors import AlreadyStoredError, GeminiError, NotFoundError, SubmissionError
from receiver.gemini.client import Gemini
from receiver.gemini.files import Files
from receiver.gemini.operations import Unread
from receiver.layout import input_name
from receiver.storage import Storage
from receiver.submissions.plans import Part
from receiver.submissions.records import (
    Created,
    Creating,
    Link,
    Records,
    Submission,
    Uploaded,
    awaited_name,
    link_name,
)

# A create takes 30 s at most, and Gemini's list may lag: only then is a batch that is not listed surely not there.
UNSURE_S = 90.0
LOOK_AGAIN_S = 3.0
CLOCKS_APART_S = 300.0  # how far our clock and Gemini's may differ
PROCESSING_S = 120.0
GZIP_LEVEL = 3
COPY_BYTES = 1024 * 1024
UNSURE_STATUS = 500  # an answer from here on does not say whether the batch was made
Status = Literal["created", "found", "known"]


@dataclass(frozen=True)
class Sent:
    """One part at Gemini."""

    part: Part
    batch: str  # "batches/<id>"
    status: Status  # made now; made by an earlier try that could not say so; known to be made before


@dataclass(frozen=True)
class Ears:
    """Who is told how it goes."""

    uploaded: Callable[[Part, int], None] = lambda _part, _bytes: None  # bytes so far
    waiting: Callable[[Part, float], None] = lambda _part, _s: None  # seconds left at most


class Sender:
    """Sends one submission. Raises GeminiError, StorageError or SubmissionError; the same call again goes on."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it works with
        self,
        gemini: Gemini,
        storage: Storage,
        submission: Submission,
        source: Path,
        ears: Ears,
        unsure_s: float = UNSURE_S,
    ) -> None:
        """`source` is the input; a batch that may have been made is looked for until `unsure_s` after the try."""
        self._unsure_s = unsure_s
        self._gemini, self._files, self._storage = gemini, Files(gemini.transport), storage
        self._submission, self._source, self._ears = submission, source, ears
        self._records = Records(storage, submission.id)

    def send(self, part: Part, scratch: Path) -> Sent:
        """See to it that one part is a batch at Gemini and that its input is kept; `scratch` is an empty folder."""
        known = self._records.created(part)
        if known is not None:
            self._keep_input(part, known.batch, scratch)
            return Sent(part, known.batch, "known")
        last = self._records.last_try(part)
        found = None if last is None or last.is_refused else self._find(part, last.creating)
        batch = found or self._create(part, 1 if last is None else last.number + 1)
        self._records.write_created(part, Created(batch))
        self._keep_input(part, batch, scratch)
        return Sent(part, batch, "found" if found else "created")

    def _find(self, part: Part, creating: Creating) -> str | None:
        """The batch of a try that ended between the mark and the batch's name; None when none was made."""
        while True:
            unsure_s = creating.at + self._unsure_s - time.time()
            found = self._look_for(creating)
            if found is not None or unsure_s <= 0:
                return found
            self._ears.waiting(part, min(unsure_s, self._unsure_s))
            time.sleep(min(LOOK_AGAIN_S, unsure_s))

    def _look_for(self, creating: Creating) -> str | None:
        """The batch that was made of a mark's file, or under its name; Gemini lists the newest first."""
        oldest = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(creating.at - CLOCKS_APART_S))
        for batch in self._gemini.list_batches():
            if isinstance(batch, Unread):
                continue
            if batch.created is not None and batch.created < oldest:
                return None
            is_it = batch.input_file == creating.file if creating.file else batch.display_name == creating.display_name
            if is_it:
                return batch.name
        return None

    def _create(self, part: Part, number: int) -> str:
        order, name = self._submission.order, self._submission.name_of(part)
        file = None if order.inline else self._upload(part, name)
        config = {"requests": {"requests": self._inlined(part)}} if file is None else {_file_field(order.kind): file}
        batch: dict[str, Any] = {"displayName": name, "inputConfig": config}
        if order.webhook is not None:
            hook: dict[str, Any] = {"uris": [order.webhook]}
            batch["webhookConfig"] = hook | ({"userMetadata": order.metadata} if order.metadata else {})
        if file is not None:
            self._storage.put_many([(awaited_name(file), msgspec.json.encode(self._link(part)))])
        try:
            self._records.begin_try(part, number, Creating(file, name, time.time()))
        except AlreadyStoredError as error:
            raise SubmissionError(f"another process is submitting {self._submission.file}: wait for it") from error
        try:
            return self._gemini.create_batch(order.model, batch, embeddings=order.kind == "embed").name
        except GeminiError as error:
            if error.status is not None and error.status < UNSURE_STATUS:
                self._records.note_refusal(part, number)
                raise
            raise SubmissionError(
                f"nobody knows whether Gemini made the batch of part {part.number} ({error}):"
                " run the same command again, it looks for the batch before it makes one"
            ) from error

    def _upload(self, part: Part, name: str) -> str:
        """The name of the part's file at Gemini, which an earlier try may have uploaded."""
        uploaded = self._records.uploaded(part)
        if uploaded is None or not self._is_there(uploaded.file):
            with self._source.open("rb") as data:
                told = self._ears.uploaded
                file = self._files.upload(data, part.size_bytes, name, lambda size: told(part, size), part.offset)
            uploaded = Uploaded(file.name)
            self._records.write_uploaded(part, uploaded)
        self._wait_until_active(uploaded.file)
        return uploaded.file

    def _is_there(self, file: str) -> bool:
        try:
            return self._files.get(file).state != "FAILED"
        except GeminiError as error:
            if isinstance(error, NotFoundError) or error.status in (400, 403):  # it expires after 48 hours
                return False
            raise

    def _wait_until_active(self, file: str) -> None:
        deadline = time.monotonic() + PROCESSING_S
        while (state := self._files.get(file).state) != "ACTIVE":
            if state == "FAILED" or time.monotonic() > deadline:
                raise SubmissionError(f"Gemini says {state} of the uploaded input {file}: submit again later")
            time.sleep(1)

    def _inlined(self, part: Part) -> list[dict[str, Any]]:
        rows = [msgspec.json.decode(line, type=dict[str, msgspec.Raw]) for line in self._read(part).splitlines()]
        return [{"request": row["request"], "metadata": {"key": row["key"]}} for row in rows]

    def _read(self, part: Part) -> bytes:
        with self._source.open("rb") as data:
            data.seek(part.offset)
            return data.read(part.size_bytes)

    def _link(self, part: Part) -> Link:
        submission = self._submission
        return Link(submission.id, part.number, len(submission.parts), submission.order.retry_of)

    def _keep_input(self, part: Part, batch: str, scratch: Path) -> None:
        """Store the requests beside the outputs to come, so that a missing one has a name."""
        batch_id = batch.removeprefix("batches/")
        if not self._storage.exists(input_name(batch_id)):
            path = scratch / f"input-{part.number}"
            with self._source.open("rb") as data, path.open("wb") as target:
                _compress(data, target, part)
            self._storage.put_files([(input_name(batch_id), path)])
        self._storage.put_many([(link_name(batch_id), msgspec.json.encode(self._link(part)))])
        uploaded = self._records.uploaded(part)
        if uploaded is not None:
            self._storage.delete(awaited_name(uploaded.file))


def _compress(data: IO[bytes], target: IO[bytes], part: Part) -> None:
    data.seek(part.offset)
    left = part.size_bytes
    with gzip.GzipFile(filename="", mode="wb", fileobj=target, compresslevel=GZIP_LEVEL, mtime=0) as packed:
        while left > 0:
            chunk = data.read(min(COPY_BYTES, left))
            if not chunk:
                raise SubmissionError("the input became shorter while it was sent: leave it alone and submit again")
            packed.write(chunk)
            left -= len(chunk)


def _file_field(kind: str) -> str:
    """Both SDKs write the two kinds differently, and the service takes what they write."""
    return "fileName" if kind == "generate" else "file_name"
