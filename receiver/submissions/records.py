"""The storage's records of a submission, so that nothing is paid for twice.

They lie below `_submissions/<id>/`, a folder that no output template can name:

- `plan.json`: the submission
- `<part>.uploaded.json`: the input file at Gemini
- `<part>.creating.<attempt>.json`: written right before the call that costs money
- `<part>.refused.<attempt>.json`: Gemini refused that call, or it was never made
- `<part>.absent.<attempt>.json`: its batch was looked for long enough, and is not there
- `<part>.looked.<attempt>.json`: when its batch was looked for first, in vain
- `<part>.created.json`: the batch; `<part>.kept.json`: its input lies beside its outputs to come
- `<part>.cancelled.json`: we asked Gemini to cancel it; `<part>.overdue.json`: a notice told of it
- `rows.json`: the table that the requests were made of, see `receiver.rows.keeping`
- `round.<n>.json`: the requests that are sent again, in parts that are numbered on
- `policy.json` and `command.json`: what the user allows, and said last; these may change
- `answers.jsonl` and `manifest.json`: the proof, see `receiver.submissions.proof`;
  `manifest.<hash>.sig`: its signature

The requests of every part lie in `_requests/`, by the hash of their content.

The id is a hash of what was asked for, so the same command finds its records on any machine. A
record of an attempt is only ever created, never changed: of several processes that take over from a
crashed one, only one can write the record of the next attempt.
"""

from collections.abc import Iterator
from typing import Literal, TypeVar

import msgspec

from receiver.errors import AlreadyStoredError, SubmissionError
from receiver.outputs.name_codec import encode_component
from receiver.storage import Storage
from receiver.submissions.policy import Order, Policy
from receiver.submissions.proof import SubmissionManifest
from receiver.submissions.submission import Part, Submission
from receiver.tolerant_json import tolerant_reader

FOLDER = "_submissions"
Mark = Literal["kept", "cancelled", "overdue"]
T = TypeVar("T")


class Uploaded(msgspec.Struct, frozen=True):
    file: str  # "files/<id>"


class CreateIntent(msgspec.Struct, frozen=True):
    """Written before the call that creates a batch. From then on, look for that batch first."""

    file: str | None  # its input; None for inline requests
    display_name: str
    at: float  # Unix time in seconds, by the clock of the process that made the call
    tag: str | None = None  # in the batch's display name; None in records of earlier versions


class FirstLook(msgspec.Struct, frozen=True):
    at: float  # Unix time in seconds


class CreateAttempt(msgspec.Struct, frozen=True):
    """One call that may have created a part's batch."""

    number: int  # from 1
    intent: CreateIntent
    is_refused: bool  # it certainly created nothing
    is_absent: bool = False  # it created nothing, as far as Gemini's list shows

    @property
    def may_have_created(self) -> bool:
        return not self.is_refused

    @property
    def is_unsure(self) -> bool:
        """Whether nobody has looked for its batch long enough."""
        return not self.is_refused and not self.is_absent


class Created(msgspec.Struct, frozen=True):
    batch: str  # "batches/<id>"


class Round(msgspec.Struct, frozen=True):
    """Requests that are sent again, once all that was sent before is over."""

    number: int  # from 1
    is_rescue: bool  # it sends what an overdue batch left, and counts for no round of the policy
    parts: tuple[Part, ...]  # none: nothing is left that may succeed and may be sent
    held_back: int = 0  # requests that may succeed, but the policy forbids another round


def requests_name(sha256: str) -> str:
    """The requests of a part as gzip of JSON lines; `sha256` (hex) is of their plain bytes."""
    return f"_requests/{sha256}.jsonl.gz"


def answers_name(submission_id: str) -> str:
    """The final outcome of every request of a submission, once it has ended."""
    return f"{FOLDER}/{submission_id}/answers.jsonl"


def awaited_name(sent: str) -> str:
    """A marker that exists until the input of the batch made by a call is stored.

    `sent` is what Gemini says of that batch, too: its input file ("files/<id>"), or the tag in its
    display name if its requests were sent inline.
    """
    return f"{FOLDER}/{encode_component(sent.removeprefix('files/'))}.awaited"


def awaited_names(intent: CreateIntent) -> list[str]:
    """The marker of a call; none of an inline one of an earlier version."""
    sent = intent.file or intent.tag
    return [] if sent is None else [awaited_name(sent)]


class SubmissionRecords:
    """The records of one submission in the storage. Every call can raise StorageError."""

    def __init__(self, storage: Storage, submission_id: str) -> None:
        self._storage, self._folder = storage, f"{FOLDER}/{submission_id}"

    def read_plan(self) -> Submission | None:
        return self._read("plan.json", Submission)

    def settle_plan(self, submission: Submission) -> tuple[Submission, bool]:
        """The plan that counts, and whether it was there before.

        The first one counts for good, however a later one would split the input.
        """
        earlier = self.read_plan()
        if earlier is None:
            try:
                self._create("plan.json", submission)
            except AlreadyStoredError:
                earlier = self.read_plan()
        return (submission, False) if earlier is None else (earlier, True)

    def complete_plan(self, submission: Submission) -> None:
        """Add to the plan of an earlier version the hashes that it lacks."""
        self._write("plan.json", submission)

    def uploaded(self, part: Part) -> Uploaded | None:
        return self._read(f"{part.number}.uploaded.json", Uploaded)

    def attempts(self, part: Part) -> list[CreateAttempt]:
        """Every attempt to create a part's batch, in order."""
        attempts: list[CreateAttempt] = []
        while (intent := self.intent(part, len(attempts) + 1)) is not None:
            number = len(attempts) + 1
            is_refused, is_absent = (
                self._storage.exists(f"{self._folder}/{part.number}.{what}.{number}.json")
                for what in ("refused", "absent")
            )
            attempts.append(CreateAttempt(number, intent, is_refused, is_absent))
        return attempts

    def intent(self, part: Part, number: int) -> CreateIntent | None:
        return self._read(f"{part.number}.creating.{number}.json", CreateIntent)

    def created(self, part: Part) -> Created | None:
        return self._read(f"{part.number}.created.json", Created)

    def write_uploaded(self, part: Part, uploaded: Uploaded) -> None:
        self._write(f"{part.number}.uploaded.json", uploaded)

    def write_created(self, part: Part, created: Created) -> None:
        self._write(f"{part.number}.created.json", created)

    def record_intent(self, part: Part, number: int, intent: CreateIntent) -> None:
        """Raises AlreadyStoredError where another process has begun this attempt."""
        self._create(f"{part.number}.creating.{number}.json", intent)

    def read_policy(self) -> Policy:
        """The default one for a submission of an earlier version, which sent nothing again."""
        return self._read("policy.json", Policy) or Policy(rounds=0)

    def write_policy(self, policy: Policy) -> None:
        self._write("policy.json", policy)

    def read_order(self) -> Order:
        return self._read("command.json", Order) or Order()

    def write_order(self, order: Order) -> None:
        self._write("command.json", order)

    def rounds(self) -> list[Round]:
        """Every round that was planned, in order."""
        rounds: list[Round] = []
        while (one := self.read_round(len(rounds) + 1)) is not None:
            rounds.append(one)
        return rounds

    def parts(self) -> list[Part]:
        """Of the plan and of all rounds; none without a plan."""
        plan = self.read_plan()
        rounds = [part for one in self.rounds() for part in one.parts]
        return [*plan.parts, *rounds] if plan else []

    def read_round(self, number: int) -> Round | None:
        return self._read(f"round.{number}.json", Round)

    def record_round(self, planned: Round) -> None:
        """Raises AlreadyStoredError where another process has planned it."""
        self._create(f"round.{planned.number}.json", planned)

    def has_mark(self, part: Part, mark: Mark) -> bool:
        return self._storage.exists(f"{self._folder}/{part.number}.{mark}.json")

    def write_mark(self, part: Part, mark: Mark) -> None:
        self._write(f"{part.number}.{mark}.json", {})

    @property
    def answers_name(self) -> str:
        return answers_name(self._folder.removeprefix(f"{FOLDER}/"))

    @property
    def manifest_name(self) -> str:
        return f"{self._folder}/manifest.json"

    def name_of(self, record: str) -> str:
        """The object of a record, such as `plan.json`."""
        return f"{self._folder}/{record}"

    def planned_names(self, rounds: int, *, of_table: bool) -> list[str]:
        """The objects of the plan, of the table that it was made of, and of so many rounds."""
        table = ["rows.json"] if of_table else []
        numbers = range(1, rounds + 1)
        names = ["plan.json", *table, *(f"round.{one}.json" for one in numbers)]
        return [self.name_of(name) for name in names]

    def signature_name(self, manifest_sha256: str) -> str:
        """The signature of a manifest: one per content, like that of a batch."""
        return f"{self._folder}/manifest.{manifest_sha256[:16]}.sig"

    def read_manifest(self) -> SubmissionManifest | None:
        return self._read("manifest.json", SubmissionManifest)

    def record_refusal(self, part: Part, number: int) -> None:
        """It is certain that this attempt created no batch."""
        self._write(f"{part.number}.refused.{number}.json", {})

    def record_absence(self, part: Part, number: int) -> None:
        """Gemini's list shows no batch of this attempt, long after its call."""
        self._write(f"{part.number}.absent.{number}.json", {})

    def settle_first_look(self, part: Part, number: int, now: float) -> float:
        """When the batch of an attempt was looked for first, in Unix time; now if never before."""
        name = f"{part.number}.looked.{number}.json"
        try:
            self._create(name, FirstLook(now))
        except AlreadyStoredError:
            earlier = self._read(name, FirstLook)
            return now if earlier is None else min(earlier.at, now)
        return now

    def names(self) -> list[str]:
        """The records that are there, by their names below the folder."""
        found = self._storage.list_names(self._folder)
        return [name.removeprefix(f"{self._folder}/") for name in found]

    def _read(self, name: str, kind: type[T]) -> T | None:
        data = self._storage.read(f"{self._folder}/{name}")
        return None if data is None else read_record(data, kind, f"{self._folder}/{name}")

    def _create(self, name: str, record: object) -> None:
        self._storage.create(f"{self._folder}/{name}", msgspec.json.encode(record))

    def _write(self, name: str, record: object) -> None:
        self._storage.put_many([(f"{self._folder}/{name}", msgspec.json.encode(record))])


def list_submissions(storage: Storage, wanted: str | None = None) -> Iterator[Submission]:
    """Every submission in the storage by its id, or the `wanted` one alone."""
    ids = {name.split("/")[1] for name in storage.list_names(FOLDER) if name.endswith("/plan.json")}
    for submission_id in sorted(ids if wanted is None else ids & {wanted}):
        submission = SubmissionRecords(storage, submission_id).read_plan()
        if submission is not None:
            yield submission


def read_record(data: bytes, kind: type[T], name: str) -> T:
    """Decode a record. Raises SubmissionError."""
    try:
        return tolerant_reader(kind)(data)
    except (ValueError, RecursionError) as error:
        raise SubmissionError(f"{name} is no record of a submission: {error}") from error
