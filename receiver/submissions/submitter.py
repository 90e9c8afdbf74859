"""Sends a planned submission part by part: upload, create, store the input.

Every step can be repeated after a crash. Gemini has no idempotency key for creating a batch, so an
intent is recorded before the call, with a tag that goes into the batch's display name. Where an
intent has no batch recorded, that batch is looked for in Gemini's list before another one is
created.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from receiver.batch_names import add_tag, new_tag
from receiver.errors import (
    AlreadyStoredError,
    GeminiError,
    NotFoundError,
    StorageError,
    SubmissionError,
)
from receiver.gemini.batches import Gemini
from receiver.gemini.files import File, Files
from receiver.gemini.operations import Batch, Unread
from receiver.outputs.paths import input_name
from receiver.storage import Storage
from receiver.submissions.lost_batches import (
    Claims,
    CreateCall,
    find_batch,
    find_unread,
    open_calls,
    read_claims,
)
from receiver.submissions.part_copy import PartCopy
from receiver.submissions.records import (
    BatchOrigin,
    Created,
    CreateIntent,
    SubmissionRecords,
    Uploaded,
    awaited_names,
    origin_name,
)
from receiver.submissions.submission import Part, Submission, SubmissionSpec

# A create call takes 30 s at most, and Gemini's list may lag. After this time, a batch that is not
# listed does not exist.
UNSURE_S = 90.0
POLL_S = 3.0
PROCESSING_S = 120.0
SentStatus = Literal["created", "found", "known"]


@dataclass(frozen=True)
class SentPart:
    """One part at Gemini."""

    part: Part
    batch: str  # "batches/<id>"
    # "created" now, "found" after an earlier attempt that crashed, or "known" to be sent before
    status: SentStatus


@dataclass(frozen=True)
class Callbacks:
    """Reports on progress."""

    uploaded: Callable[[Part, int], None] = lambda _part, _bytes: None  # bytes
    waiting: Callable[[Part, float], None] = lambda _part, _s: None  # seconds left at most


class Submitter:
    """Sends one submission. After an error, the same calls continue where it stopped.

    Raises GeminiError, StorageError or SubmissionError.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what it works with
        self,
        gemini: Gemini,
        storage: Storage,
        submission: Submission,
        source: Path,
        callbacks: Callbacks,
        unsure_s: float = UNSURE_S,
    ) -> None:
        """`source` is the input. A lost batch is looked for until `unsure_s` after its call."""
        self._gemini = gemini
        self._files = Files(gemini.transport)
        self._storage = storage
        self._submission = submission
        self._source = source
        self._callbacks = callbacks
        self._unsure_s = unsure_s
        self._records = SubmissionRecords(storage, submission.id)

    def send(self, part: Part, scratch: Path) -> SentPart:
        """Create a part's batch unless it exists, and store its input.

        `scratch` is an empty folder.
        """
        known = self._records.created(part)
        if known is not None:
            self._keep(part, known.batch, scratch)
            return SentPart(part, known.batch, "known")

        attempts = len(self._records.attempts(part))
        calls = open_calls(self._records, self._submission, part)
        found = self._find(part, calls) if calls else None
        if found is not None:
            self._record_created(part, found)
            self._keep(part, found, scratch)
            return SentPart(part, found, "found")

        content = self._copy_to_send(part, scratch)
        batch = self._create(content, attempts + 1)
        self._record_created(part, batch)
        self._keep(part, batch, scratch, content)
        return SentPart(part, batch, "created")

    def _copy(self, part: Part, scratch: Path) -> PartCopy:
        return PartCopy.copy(self._source, part, scratch / f"input-{part.number}")

    def _copy_to_send(self, part: Part, scratch: Path) -> PartCopy:
        try:
            return self._copy(part, scratch)
        except SubmissionError as error:
            raise SubmissionError(
                f"{error}: nothing of part {part.number} was sent. Leave the file unchanged and"
                " submit again: the same requests continue where they stopped, others are a new"
                " submission"
            ) from error

    def _find(self, part: Part, calls: Sequence[CreateCall]) -> str | None:
        """The batch of an attempt that crashed before recording its name, if any."""
        left_s = max(call.intent.at for call in calls) + self._unsure_s - time.time()
        # A clock that was ahead must not make us wait longer.
        deadline = time.monotonic() + min(left_s, self._unsure_s)

        while True:
            left_s = deadline - time.monotonic()
            unread = list[Unread]()
            found = find_batch(self._readable(unread), calls, lambda: self._read_claims(part))
            found = found or find_unread(unread, calls)
            if found is not None or left_s <= 0:
                return found
            self._callbacks.waiting(part, left_s)
            time.sleep(min(POLL_S, left_s))

    def _readable(self, unread: list[Unread]) -> Iterator[Batch]:
        """Gemini's list; entries that can't be read go to `unread`."""
        for one in self._gemini.list_batches():
            if isinstance(one, Batch):
                yield one
            else:
                unread.append(one)

    def _read_claims(self, part: Part) -> Claims:
        return read_claims(self._storage, self._submission.id, part)

    def _record_created(self, part: Part, batch: str) -> None:
        try:
            self._records.write_created(part, Created(batch))
        except StorageError as error:
            raise SubmissionError(
                f"{batch} is created, but the storage could not record it ({error}):"
                " run the same command again, it finds the batch"
            ) from error

    def _create(self, content: PartCopy, number: int) -> str:
        """Attempt `number` to create a part's batch. Gives the batch's name."""
        spec, part = self._submission.spec, content.part
        name, tag = self._submission.name_of(part), new_tag(self._submission.id, part.number)
        file = None if spec.inline else self._upload(content, name)
        batch = _describe_batch(spec, content, add_tag(name, tag), file)

        intent = CreateIntent(file, name, time.time(), tag)
        try:
            self._records.record_intent(part, number, intent)
        except AlreadyStoredError as error:
            raise SubmissionError(
                f"another process is submitting {self._submission.file}: wait for it"
            ) from error
        origin = msgspec.json.encode(self._origin(part))
        self._storage.put_many([(name, origin) for name in awaited_names(intent)])

        is_embedding = spec.kind == "embed"
        try:
            return self._gemini.create_batch(spec.model, batch, embeddings=is_embedding).name
        except GeminiError as error:
            if error.is_certain:
                self._records.record_refusal(part, number)
                raise
            raise SubmissionError(
                f"nobody knows whether Gemini made the batch of part {part.number} ({error}):"
                " run the same command again, it looks for the batch before it makes one"
            ) from error

    def _upload(self, content: PartCopy, name: str) -> str:
        """The name of the part's file at Gemini, which an earlier attempt may have uploaded."""
        part = content.part
        uploaded = self._records.uploaded(part)
        if uploaded is None or not self._is_there(uploaded.file, part):
            with content.open() as data:
                file = self._files.upload(
                    data, part.size_bytes, name, lambda size: self._callbacks.uploaded(part, size)
                )
            if not _holds(file, part):
                raise SubmissionError(
                    f"Gemini holds other bytes as {file.name} than were sent: submit again"
                )
            uploaded = Uploaded(file.name)
            self._records.write_uploaded(part, uploaded)
        self._wait_until_active(uploaded.file)
        return uploaded.file

    def _is_there(self, name: str, part: Part) -> bool:
        try:
            file = self._files.get(name)
        except GeminiError as error:
            if isinstance(error, NotFoundError) or error.status in (400, 403):  # it has expired
                return False
            raise
        return file.state != "FAILED" and _holds(file, part)

    def _wait_until_active(self, file: str) -> None:
        deadline = time.monotonic() + PROCESSING_S
        while (state := self._files.get(file).state) != "ACTIVE":
            if state == "FAILED" or time.monotonic() > deadline:
                raise SubmissionError(
                    f"Gemini says {state} of the uploaded input {file}: submit again later"
                )
            time.sleep(1)

    def _origin(self, part: Part) -> BatchOrigin:
        submission = self._submission
        return BatchOrigin(
            submission.id, part.number, len(submission.parts), submission.spec.retry_of
        )

    def _keep(self, part: Part, batch: str, scratch: Path, content: PartCopy | None = None) -> None:
        """Store the requests beside the outputs to come, so that missing results can be named."""
        try:
            if not self._storage.exists(input_name(batch)):
                content = content or self._copy(part, scratch)
                self._storage.put_files([(input_name(batch), content.path)])
            self._storage.put_many([(origin_name(batch), msgspec.json.encode(self._origin(part)))])
            for attempt in self._records.attempts(part):
                for name in awaited_names(attempt.intent):
                    self._storage.delete(name)
        except (StorageError, SubmissionError) as error:
            raise SubmissionError(
                f"part {part.number} is {batch}, but its input is not kept: {error}."
                " Submit the same requests again: they are not sent twice, and their input is kept"
            ) from error


def _describe_batch(
    spec: SubmissionSpec, content: PartCopy, display_name: str, file: str | None
) -> dict[str, Any]:
    """The batch in the form of the API; its requests are inline where there is no file."""
    if file is None:
        config: dict[str, Any] = {"requests": {"requests": _inlined(content)}}
    else:
        config = {_file_field(spec.kind): file}
    batch: dict[str, Any] = {"displayName": display_name, "inputConfig": config}

    if spec.webhook is not None:
        metadata = {"userMetadata": spec.metadata} if spec.metadata else {}
        batch["webhookConfig"] = {"uris": [spec.webhook], **metadata}
    return batch


def _inlined(content: PartCopy) -> list[dict[str, Any]]:
    rows = [msgspec.json.decode(line, type=dict[str, msgspec.Raw]) for line in content.lines()]
    return [{"request": row["request"], "metadata": {"key": row["key"]}} for row in rows]


def _holds(file: File, part: Part) -> bool:
    """Whether a file at Gemini has the bytes of a part, as far as Gemini says."""
    return file.sha256 in (None, part.sha256) and file.size_bytes in (None, part.size_bytes)


def _file_field(kind: str) -> str:
    """Both SDKs write the two kinds differently, and the service expects just that."""
    return "fileName" if kind == "generate" else "file_name"
