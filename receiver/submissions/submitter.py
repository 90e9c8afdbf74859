"""Sends a planned submission part by part: upload, create, store the input.

Every step can be repeated after a crash, by any process. Gemini has no idempotency key for creating
a batch, so an intent is recorded before the call, with a tag that goes into the batch's display
name. Where an intent has no batch recorded, that batch is looked for in Gemini's list before
another one is created.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from receiver.batch_names import add_tag, new_tag
from receiver.errors import (
    AlreadyStoredError,
    GeminiError,
    NotFoundError,
    ReceiverError,
    RefusedBatchError,
    StepPendingError,
    UnsureCallError,
)
from receiver.gemini.batches import Gemini
from receiver.gemini.files import File, Files
from receiver.gemini.operations import Batch, Unread
from receiver.http import httpx
from receiver.outputs.paths import input_name
from receiver.storage import Storage
from receiver.submissions.attached_files import complete_part
from receiver.submissions.batch_links import BatchOrigin, origin_name
from receiver.submissions.batch_request import describe_batch
from receiver.submissions.lost_batches import (
    Claims,
    CreateCall,
    find_batch,
    find_unread,
    read_claims,
)
from receiver.submissions.part_copy import PartCopy
from receiver.submissions.records import (
    CreateAttempt,
    Created,
    CreateIntent,
    SubmissionRecords,
    Uploaded,
    awaited_names,
)
from receiver.submissions.submission import Part, Submission

# A create call takes 30 s at most, and Gemini's list may lag. After this time, a batch that is not
# listed does not exist.
UNSURE_S = 90.0
TRUSTED_SHARE = 1 / 3  # of it may have passed before the first look, by the clock of the caller
CALL_WITHIN_S = 5.0  # of its intent; a process that was frozen in between makes no call any more
POLL_S = 3.0
PROCESSING_S = 10.0  # how long an upload's processing is waited for in place
SentStatus = Literal["created", "found", "known"]


@dataclass(frozen=True)
class SentPart:
    """One part at Gemini."""

    part: Part
    batch: str  # "batches/<id>"
    # "created" now, "found" after an earlier attempt that crashed, or "known" to be sent before
    status: SentStatus


class Submitter:
    """Sends one submission. After an error, the same calls continue where it stopped.

    Raises GeminiError, StorageError or SubmissionError, of which a StepPendingError says when to
    call again, and what `check` raises.
    """

    def __init__(
        self,
        gemini: Gemini,
        storage: Storage,
        submission: Submission,
        check: Callable[[], None] = lambda: None,
        unsure_s: float = UNSURE_S,
    ) -> None:
        """`check` is called before what costs money, and raises where this process must stop.

        A lost batch is looked for until `unsure_s` after its call.
        """
        self._gemini = gemini
        self._files = Files(gemini.transport)
        self._storage = storage
        self._submission = submission
        self._check = check
        self._unsure_s = unsure_s
        self._records = SubmissionRecords(storage, submission.id)

    def find(self, part: Part, scratch: Path) -> SentPart | None:
        """The batch of an earlier call, with its input stored; None if there is none for sure.

        `scratch` is an empty folder.
        """
        return self._find(part, scratch, self._records.attempts(part))

    def send(self, part: Part, scratch: Path) -> SentPart:
        """Create a part's batch unless it exists, and store its input."""
        # Read once: an attempt that another process begins now takes the number of ours.
        attempts = self._records.attempts(part)
        earlier = self._find(part, scratch, attempts)
        if earlier is not None:
            return earlier
        content = self._fetch(part, scratch)
        sent = complete_part(
            self._gemini.transport,
            self._storage,
            self._submission.spec,
            content,
            scratch,
            self._check,
        )
        batch = self._create(sent, len(attempts) + 1)
        self._records.write_created(part, Created(batch))
        self._keep(part, batch, scratch, content)
        return SentPart(part, batch, "created")

    def _find(
        self, part: Part, scratch: Path, attempts: Sequence[CreateAttempt]
    ) -> SentPart | None:
        known = self._records.created(part)
        if known is not None:
            self._keep(part, known.batch, scratch)
            return SentPart(part, known.batch, "known")
        if not any(one.may_have_created for one in attempts):
            return None

        found = self._look(part, attempts)
        if found is None:
            self._give_up(part, attempts)
            return None
        self._records.write_created(part, Created(found))
        self._keep(part, found, scratch)
        return SentPart(part, found, "found")

    def _look(self, part: Part, attempts: Sequence[CreateAttempt]) -> str | None:
        """The batch of an attempt that crashed before recording its name, if it is listed."""
        model = self._submission.spec.model
        calls = [
            CreateCall(one.intent, model, part.requests) for one in attempts if one.may_have_created
        ]
        unread = list[Unread]()
        found = find_batch(self._readable(unread), calls, lambda: self._read_claims(part))
        return found or find_unread(unread, calls)

    def _give_up(self, part: Part, attempts: Sequence[CreateAttempt]) -> None:
        """Record that no attempt created a batch, unless it is too early to say so."""
        unsure = [one for one in attempts if one.is_unsure]
        if not unsure:
            return
        left_s = max(self._since(part, one) for one in unsure) + self._unsure_s - time.time()
        if left_s > 0:
            raise StepPendingError(
                f"an earlier call may have created the batch of part {part.number}: it is looked"
                f" for until {left_s:.0f} s from now, before another one is created",
                delay_s=min(POLL_S, left_s),
            )
        for one in unsure:
            self._records.record_absence(part, one.number)

    def _since(self, part: Part, attempt: CreateAttempt) -> float:
        """From when on its batch is looked for so long, in Unix time by our clock.

        The caller's clock may be ahead: then our first look counts. Or it may be behind, and the
        call under way at that look: so most of the time has to pass from then on.
        """
        looked = self._records.settle_first_look(part, attempt.number, time.time())
        at = min(attempt.intent.at, looked)
        return max(at, looked - self._unsure_s * TRUSTED_SHARE)

    def _readable(self, unread: list[Unread]) -> Iterator[Batch]:
        """Gemini's list; entries that can't be read go to `unread`."""
        for one in self._gemini.list_batches():
            if isinstance(one, Batch):
                yield one
            else:
                unread.append(one)

    def _read_claims(self, part: Part) -> Claims:
        return read_claims(self._storage, self._submission.id, part)

    def _fetch(self, part: Part, scratch: Path) -> PartCopy:
        return PartCopy.fetch(self._storage, part, scratch / f"input-{part.number}")

    def _create(self, content: PartCopy, number: int) -> str:
        """Attempt `number` to create a part's batch. Gives the batch's name."""
        spec, part = self._submission.spec, content.part
        name, tag = self._submission.name_of(part), new_tag(self._submission.id, part.number)
        file = None if spec.inline else self._upload(content, name)
        batch = describe_batch(spec, content, add_tag(name, tag), file)

        self._begin(part, number, CreateIntent(file, name, time.time(), tag))
        is_embedding = spec.kind == "embed"
        try:
            return self._gemini.create_batch(spec.model, batch, embeddings=is_embedding).name
        except GeminiError as error:
            if error.is_certain:
                self._records.record_refusal(part, number)
                if error.status == httpx.codes.BAD_REQUEST and error.fault == "refused":
                    words = f"Gemini refused the batch of part {part.number}: {error}"
                    raise RefusedBatchError(words, status=error.status) from error
                raise
            raise UnsureCallError(
                f"nobody knows whether Gemini made the batch of part {part.number} ({error}):"
                " it is looked for before another one is made",
                status=error.status,
                retryable=True,
                retry_after_s=error.retry_after_s,
            ) from error

    def _begin(self, part: Part, number: int, intent: CreateIntent) -> None:
        """Record the intent; returns when the call may be made, and only in time."""
        started_s = time.monotonic()
        self._check()
        try:
            self._records.record_intent(part, number, intent)
        except AlreadyStoredError as error:
            words = f"another process is sending part {part.number} of {self._submission.id}"
            raise StepPendingError(words, delay_s=POLL_S) from error
        try:
            origin = msgspec.json.encode(self._origin(part))
            self._storage.put_many([(name, origin) for name in awaited_names(intent)])
            self._check()
            if time.monotonic() - started_s > CALL_WITHIN_S:
                words = f"the storage was too slow to send part {part.number} now"
                raise StepPendingError(words, delay_s=POLL_S)
        except ReceiverError:
            self._records.record_refusal(part, number)
            raise

    def _upload(self, content: PartCopy, name: str) -> str:
        """The name of the part's file at Gemini, which an earlier attempt may have uploaded."""
        part = content.part
        uploaded = self._records.uploaded(part)
        if uploaded is None or not self._is_there(uploaded.file, part):
            with content.open() as data:
                file = self._files.upload(data, part.size_bytes, name, lambda _size: self._check())
            if not _holds(file, part):
                raise GeminiError(
                    f"Gemini holds other bytes as {file.name} than were sent",
                    retryable=True,
                    fault="batch",
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
            words = f"Gemini says {state} of the uploaded input {file}"
            if state == "FAILED":  # the next attempt uploads it anew
                raise GeminiError(words, retryable=True, fault="batch")
            if time.monotonic() > deadline:
                raise StepPendingError(words, delay_s=PROCESSING_S)
            self._check()
            time.sleep(1)

    def _origin(self, part: Part) -> BatchOrigin:
        one = self._submission
        return BatchOrigin(one.id, part.number, len(one.parts), one.spec.retry_of)

    def _keep(self, part: Part, batch: str, scratch: Path, content: PartCopy | None = None) -> None:
        """Store the requests beside the outputs to come, so that missing results can be named."""
        if self._records.has_mark(part, "kept"):
            return
        if not self._storage.exists(input_name(batch)):
            content = content or self._fetch(part, scratch)
            self._storage.put_files([(input_name(batch), content.path)])
        self._storage.put_many([(origin_name(batch), msgspec.json.encode(self._origin(part)))])
        for attempt in self._records.attempts(part):
            for name in awaited_names(attempt.intent):
                self._storage.delete(name)
        self._records.write_mark(part, "kept")


def _holds(file: File, part: Part) -> bool:
    """Whether a file at Gemini has the bytes of a part, as far as Gemini says."""
    return file.sha256 in (None, part.sha256) and file.size_bytes in (None, part.size_bytes)
