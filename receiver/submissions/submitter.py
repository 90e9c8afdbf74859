"""Sends a planned submission part by part: upload, create, keep the input. Every step can be run again after any crash.

Gemini has no key that makes a second create harmless. So a mark is written before the call, with a tag that the
display name of the batch bears, and whoever finds the mark without its batch looks for that batch in Gemini's list
before he makes one.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from receiver.errors import (
    AlreadyStoredError,
    GeminiError,
    NotFoundError,
    StorageError,
    SubmissionError,
)
from receiver.gemini.batch_tags import add_tag, new_tag
from receiver.gemini.batches import Gemini
from receiver.gemini.files import File, Files
from receiver.gemini.operations import Batch, Unread
from receiver.outputs.paths import input_name
from receiver.storage import Storage
from receiver.submissions.claims import open_calls, read_claims
from receiver.submissions.content import Content
from receiver.submissions.finding import Call, Claims, find_batch, find_unread
from receiver.submissions.parts import Part
from receiver.submissions.records import (
    Created,
    Creating,
    Link,
    Submission,
    SubmissionRecords,
    Uploaded,
    awaited_name,
    link_name,
)

# A create takes 30 s at most, and Gemini's list may lag: only then is a batch that is not listed surely not there.
UNSURE_S = 90.0
LOOK_AGAIN_S = 3.0
PROCESSING_S = 120.0
Status = Literal["created", "found", "known"]


@dataclass(frozen=True)
class Sent:
    """One part at Gemini."""

    part: Part
    batch: str  # "batches/<id>"
    status: (
        Status  # made now; made by an earlier try that could not say so; known to be made before
    )


@dataclass(frozen=True)
class Callbacks:
    """Who is told how it goes."""

    uploaded: Callable[[Part, int], None] = lambda _part, _bytes: None  # bytes so far
    waiting: Callable[[Part, float], None] = lambda _part, _s: None  # seconds left at most


class Submitter:
    """Sends one submission. Raises GeminiError, StorageError or SubmissionError; the same call again goes on."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it works with
        self,
        gemini: Gemini,
        storage: Storage,
        submission: Submission,
        source: Path,
        ears: Callbacks,
        unsure_s: float = UNSURE_S,
    ) -> None:
        """`source` is the input; a batch that may have been made is looked for until `unsure_s` after the try."""
        self._unsure_s = unsure_s
        self._gemini, self._files, self._storage = gemini, Files(gemini.transport), storage
        self._submission, self._source, self._ears = submission, source, ears
        self._records = SubmissionRecords(storage, submission.id)

    def send(self, part: Part, scratch: Path) -> Sent:
        """See to it that one part is a batch at Gemini and that its input is kept; `scratch` is an empty folder."""
        known = self._records.created(part)
        if known is not None:
            self._keep(part, known.batch, scratch)
            return Sent(part, known.batch, "known")
        tries = len(self._records.tries(part))
        calls = open_calls(self._records, self._submission, part)
        found = self._find(part, calls) if calls else None
        if found is not None:
            self._note_created(part, found)
            self._keep(part, found, scratch)
            return Sent(part, found, "found")
        content = self._copy_to_send(part, scratch)
        batch = self._create(content, tries + 1)
        self._note_created(part, batch)
        self._keep(part, batch, scratch, content)
        return Sent(part, batch, "created")

    def _copy(self, part: Part, scratch: Path) -> Content:
        return Content.copy(self._source, part, scratch / f"input-{part.number}")

    def _copy_to_send(self, part: Part, scratch: Path) -> Content:
        try:
            return self._copy(part, scratch)
        except SubmissionError as error:
            raise SubmissionError(
                f"{error}: nothing of part {part.number} was sent. Leave the file alone and submit again;"
                " the same requests go on where they stood, others are a new submission"
            ) from error

    def _find(self, part: Part, calls: Sequence[Call]) -> str | None:
        """The batch of a call that ended between the mark and the batch's name; None when none was made."""
        left_s = max(call.creating.at for call in calls) + self._unsure_s - time.time()
        deadline = time.monotonic() + min(
            left_s, self._unsure_s
        )  # a clock that is ahead makes nobody wait longer
        while True:
            left_s = deadline - time.monotonic()
            unread = list[Unread]()
            found = find_batch(self._readable(unread), calls, lambda: self._read_claims(part))
            found = found or find_unread(unread, calls)
            if found is not None or left_s <= 0:
                return found
            self._ears.waiting(part, left_s)
            time.sleep(min(LOOK_AGAIN_S, left_s))

    def _readable(self, unread: list[Unread]) -> Iterator[Batch]:
        """Gemini's list; what can't be read of it goes to `unread`."""
        for one in self._gemini.list_batches():
            if isinstance(one, Batch):
                yield one
            else:
                unread.append(one)

    def _read_claims(self, part: Part) -> Claims:
        return read_claims(self._storage, self._submission.id, part)

    def _note_created(self, part: Part, batch: str) -> None:
        try:
            self._records.write_created(part, Created(batch))
        except StorageError as error:
            raise SubmissionError(
                f"{batch} is made, but the storage did not take the note of it ({error}):"
                " run the same command again, it finds the batch"
            ) from error

    def _create(self, content: Content, number: int) -> str:
        order, part = self._submission.order, content.part
        name, tag = self._submission.name_of(part), new_tag(self._submission.id, part.number)
        file = None if order.inline else self._upload(content, name)
        config = (
            {"requests": {"requests": _inlined(content)}}
            if file is None
            else {_file_field(order.kind): file}
        )
        batch: dict[str, Any] = {"displayName": add_tag(name, tag), "inputConfig": config}
        if order.webhook is not None:
            hook: dict[str, Any] = {"uris": [order.webhook]}
            batch["webhookConfig"] = hook | (
                {"userMetadata": order.metadata} if order.metadata else {}
            )
        if file is not None:
            self._storage.put_many([(awaited_name(file), msgspec.json.encode(self._link(part)))])
        try:
            self._records.begin_try(part, number, Creating(file, name, time.time(), tag))
        except AlreadyStoredError as error:
            raise SubmissionError(
                f"another process is submitting {self._submission.file}: wait for it"
            ) from error
        try:
            return self._gemini.create_batch(
                order.model, batch, embeddings=order.kind == "embed"
            ).name
        except GeminiError as error:
            if error.is_certain:
                self._records.note_refusal(part, number)
                raise
            raise SubmissionError(
                f"nobody knows whether Gemini made the batch of part {part.number} ({error}):"
                " run the same command again, it looks for the batch before it makes one"
            ) from error

    def _upload(self, content: Content, name: str) -> str:
        """The name of the part's file at Gemini, which an earlier try may have uploaded."""
        part = content.part
        uploaded = self._records.uploaded(part)
        if uploaded is None or not self._is_there(uploaded.file, part):
            with content.open() as data:
                told = self._ears.uploaded
                file = self._files.upload(
                    data, part.size_bytes, name, lambda size: told(part, size)
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
            if isinstance(error, NotFoundError) or error.status in (
                400,
                403,
            ):  # it expires after 48 hours
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

    def _link(self, part: Part) -> Link:
        submission = self._submission
        return Link(submission.id, part.number, len(submission.parts), submission.order.retry_of)

    def _keep(self, part: Part, batch: str, scratch: Path, content: Content | None = None) -> None:
        """Store the requests beside the outputs to come, so that a missing one has a name."""
        try:
            if not self._storage.exists(input_name(batch)):
                content = content or self._copy(part, scratch)
                self._storage.put_files([(input_name(batch), content.path)])
            self._storage.put_many([(link_name(batch), msgspec.json.encode(self._link(part)))])
            uploaded = self._records.uploaded(part)
            if uploaded is not None:
                self._storage.delete(awaited_name(uploaded.file))
        except (StorageError, SubmissionError) as error:
            raise SubmissionError(
                f"part {part.number} is {batch}, but its input is not kept: {error}."
                " Submit the same requests again: they are not sent twice, and their input is kept"
            ) from error


def _inlined(content: Content) -> list[dict[str, Any]]:
    rows = [msgspec.json.decode(line, type=dict[str, msgspec.Raw]) for line in content.lines()]
    return [{"request": row["request"], "metadata": {"key": row["key"]}} for row in rows]


def _holds(file: File, part: Part) -> bool:
    """Whether a file has the bytes of a part, as far as Gemini says."""
    return file.sha256 in (None, part.sha256) and file.size_bytes in (None, part.size_bytes)


def _file_field(kind: str) -> str:
    """Both SDKs write the two kinds differently, and the service takes what they write."""
    return "fileName" if kind == "generate" else "file_name"
