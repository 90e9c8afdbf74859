"""What the storage remembers of a submission, so that nothing is paid for twice.

Below `_submissions/<id>/`, which no template can name: `plan.json`, and for each part `<n>.uploaded.json`,
`<n>.creating.<try>.json` (made if absent, just before the call that costs money), `<n>.refused.<try>.json` (Gemini said
no to that call) and `<n>.created.json`. The id is made of what is asked for, so the same command finds its own records
again, on any machine. A try is never taken back: of many who follow a dead one, one makes the next.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, TypeVar

import msgspec

from receiver.errors import AlreadyStoredError, SubmissionError
from receiver.outputs.name_codec import encode_component
from receiver.outputs.paths import batch_folder
from receiver.storage import Storage
from receiver.submissions.parts import Kind, Part
from receiver.tolerant_json import tolerant_reader

FOLDER = "_submissions"
T = TypeVar("T")


class Order(msgspec.Struct, frozen=True):
    """What a user asks for."""

    project: str  # empty for the default one
    model: str
    kind: Kind
    inline: bool
    display_name: str
    is_named: bool  # by the user; else the name is made of the file's, which may change
    webhook: str | None  # of this batch alone
    metadata: dict[str, Any]  # for that webhook
    retry_of: str | None  # "batches/<id>"
    sha256: str  # of the requests

    @property
    def id(self) -> str:
        """The same for the same requests to the same model under the same name, wherever the callbacks go."""
        model = self.model.removeprefix("models/")
        asked = [
            self.project,
            model,
            self.kind,
            self.display_name if self.is_named else "",
            self.retry_of,
            self.sha256,
        ]
        return sha256(msgspec.json.encode(asked)).hexdigest()[:20]


class Submission(msgspec.Struct, frozen=True):
    """`plan.json`."""

    id: str
    order: Order
    file: str  # what the input was called
    requests: int
    parts: tuple[Part, ...]

    def name_of(self, part: Part) -> str:
        """The display name of a part's batch."""
        name = self.order.display_name
        return name if len(self.parts) == 1 else f"{name} {part.number} of {len(self.parts)}"


class Uploaded(msgspec.Struct, frozen=True):
    file: str  # "files/<id>"


class Creating(msgspec.Struct, frozen=True):
    """Written before the call that creates a batch: from here on nobody may create it blindly."""

    file: str | None  # its input; None for inline requests
    display_name: str
    at: float  # seconds since 1970, by the clock of whoever created it
    tag: str | None = None  # in the batch's display name; None in a mark of the version before


class Try(msgspec.Struct, frozen=True):
    """One call that may have created a part's batch."""

    number: int  # from 1
    creating: Creating
    is_refused: bool  # Gemini said no: it created nothing


class Created(msgspec.Struct, frozen=True):
    batch: str  # "batches/<id>"


class Link(msgspec.Struct, frozen=True):
    """`_submission.json` in a batch's own folder: where it comes from."""

    submission: str  # its id
    part: int
    parts: int
    retry_of: str | None  # "batches/<id>"


def link_name(batch: str) -> str:
    """Where a batch says which submission it comes from."""
    return f"{batch_folder(batch)}/_submission.json"


def resubmitted_name(batch: str) -> str:
    """Where a batch says which batches its failed requests went into."""
    return f"{batch_folder(batch)}/_resubmitted.json"


def awaited_name(file: str) -> str:
    """The mark that the input of the batch made of this file (`files/<id>`) is on its way into the storage."""
    return f"{FOLDER}/{encode_component(file.removeprefix('files/'))}.awaited"


class SubmissionRecords:
    """The records of one submission in the storage. Every call can raise StorageError."""

    def __init__(self, storage: Storage, submission_id: str) -> None:
        self._storage, self._folder = storage, f"{FOLDER}/{submission_id}"

    def read_plan(self) -> Submission | None:
        return self._read("plan.json", Submission)

    def settle_plan(self, submission: Submission) -> tuple[Submission, bool]:
        """The plan that holds, and whether it is an earlier one: the first holds for good, however it was split."""
        earlier = self.read_plan()
        if earlier is None:
            try:
                self._create("plan.json", submission)
            except AlreadyStoredError:
                earlier = self.read_plan()
        return (submission, False) if earlier is None else (earlier, True)

    def uploaded(self, part: Part) -> Uploaded | None:
        return self._read(f"{part.number}.uploaded.json", Uploaded)

    def tries(self, part: Part) -> list[Try]:
        """Every call for a part in its order."""
        tries: list[Try] = []
        while (
            creating := self._read(f"{part.number}.creating.{len(tries) + 1}.json", Creating)
        ) is not None:
            number = len(tries) + 1
            is_refused = self._storage.exists(f"{self._folder}/{part.number}.refused.{number}.json")
            tries.append(Try(number, creating, is_refused))
        return tries

    def created(self, part: Part) -> Created | None:
        return self._read(f"{part.number}.created.json", Created)

    def write_uploaded(self, part: Part, uploaded: Uploaded) -> None:
        self._write(f"{part.number}.uploaded.json", uploaded)

    def write_created(self, part: Part, created: Created) -> None:
        self._write(f"{part.number}.created.json", created)

    def begin_try(self, part: Part, number: int, creating: Creating) -> None:
        """Raises AlreadyStoredError when somebody else has begun it."""
        self._create(f"{part.number}.creating.{number}.json", creating)

    def note_refusal(self, part: Part, number: int) -> None:
        """This try made no batch, and that is certain."""
        self._write(f"{part.number}.refused.{number}.json", {})

    def _read(self, name: str, kind: type[T]) -> T | None:
        data = self._storage.read(f"{self._folder}/{name}")
        return None if data is None else read_record(data, kind, f"{self._folder}/{name}")

    def _create(self, name: str, record: object) -> None:
        self._storage.create(f"{self._folder}/{name}", msgspec.json.encode(record))

    def _write(self, name: str, record: object) -> None:
        self._storage.put_many([(f"{self._folder}/{name}", msgspec.json.encode(record))])


def read_record(data: bytes, kind: type[T], name: str) -> T:
    """A record in its form. Raises SubmissionError."""
    try:
        return tolerant_reader(kind)(data)
    except (ValueError, RecursionError) as error:
        raise SubmissionError(f"{name} is no record of a submission: {error}") from error


def read_resubmitted(storage: Storage, batch: str) -> Sequence[str]:
    """The batches (`batches/<id>`) that the failed requests of a batch went into; empty when nobody sent them again."""
    name = resubmitted_name(batch)
    data = storage.read(name)
    return [] if data is None else read_record(data, list[str], name)


def read_order(storage: Storage, batch: str) -> Order | None:
    """What was asked for when a batch was submitted; None where somebody else made it."""
    name = link_name(batch)
    data = storage.read(name)
    if data is None:
        return None
    submission = SubmissionRecords(storage, read_record(data, Link, name).submission).read_plan()
    return submission.order if submission else None
