"""Submissions as the engine leaves them in a storage: plan, requests, and stored batches."""

import gzip
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from receiver.outputs.prices import default_prices
from receiver.outputs.proof_keys import ProofKey
from receiver.storage import LocalStorage
from receiver.submissions.decisions import PlanRound
from receiver.submissions.gauges import Gauge, assume_rates
from receiver.submissions.policy import Command, Order, Policy
from receiver.submissions.proof import AnswerRow, SubmissionManifest, read_answer_row
from receiver.submissions.records import Created, Round, SubmissionRecords, requests_name
from receiver.submissions.splitting import PartCutter, PartLimits
from receiver.submissions.state import PartState, RoundState, StopReason, SubmissionState
from receiver.submissions.submission import Part, Submission, SubmissionSpec
from tests.workers.storing import put_input, store
from workers.submissions.finishing import write_proof
from workers.submissions.part_results import Reading
from workers.submissions.rounds import write_round

Request = dict[str, Any]
SCHEMA = '{"type": "object", "required": ["a"]}'


def request(key: str, **config: object) -> bytes:
    asked: Request = {"contents": [{"parts": [{"text": f"about {key}"}]}]}
    asked |= {"generationConfig": config} if config else {}
    return json.dumps({"key": key, "request": asked}).encode() + b"\n"


@dataclass
class StoredSubmission:
    """A submission that a test carries on as the engine would."""

    storage: LocalStorage
    submission: Submission
    policy: Policy = field(default_factory=Policy)
    command: Command = "run"
    ordered_at: float = 1000.0
    parts: list[PartState] = field(default_factory=list)

    @classmethod
    def plan(
        cls,
        storage: LocalStorage,
        *lots: Sequence[bytes],
        model: str = "m",
        table_sha256: str | None = None,
        **fields: Any,
    ) -> "StoredSubmission":
        """Store the plan and the requests of the first sending, a part for each lot."""
        parts, line, offset = [], 1, 0
        for number, lot in enumerate(lots, 1):
            data = b"".join(lot)
            parts.append(
                Part(number, line, offset, len(data), len(lot), sha256(data).hexdigest(), **fields)
            )
            line, offset = line + len(lot), offset + len(data)
            name = requests_name(parts[-1].sha256)
            storage.put_many([(name, gzip.compress(data, mtime=0))])
        whole = sha256(b"".join(one for lot in lots for one in lot)).hexdigest()
        spec = SubmissionSpec("", model, "generate", False, "evening", True, None, {}, None, whole)
        spec = msgspec.structs.replace(spec, table_sha256=table_sha256)
        requests = sum(map(len, lots))
        submission = Submission(spec.id, spec, "asked.jsonl", requests, tuple(parts))
        stored = cls(storage, submission, parts=[PartState(part=part) for part in parts])
        stored.records.settle_plan(submission)
        stored.records.write_policy(stored.policy)
        stored.records.write_order(Order("run", stored.ordered_at))
        return stored

    @property
    def records(self) -> SubmissionRecords:
        return SubmissionRecords(self.storage, self.submission.id)

    @property
    def state(self) -> SubmissionState:
        rounds = [
            RoundState(one.number, one.is_rescue, len(one.parts), one.held_back)
            for one in self.records.rounds()
        ]
        return SubmissionState(
            submission=self.submission,
            policy=self.policy,
            command=self.command,
            ordered_at=self.ordered_at,
            parts=tuple(self.parts),
            rounds=tuple(rounds),
        )

    def change(self, number: int, **fields: Any) -> None:
        self.parts[number - 1] = msgspec.structs.replace(self.parts[number - 1], **fields)

    def send(self, number: int) -> str:
        """Record the batch of a part. Gives its id."""
        part, batch_id = self.parts[number - 1].part, f"b{number}"
        self.records.write_created(part, Created(f"batches/{batch_id}"))
        put_input(self.storage, self.requests(number), batch_id)
        self.change(number, batch=f"batches/{batch_id}")
        return batch_id

    def store(self, number: int, *lines: bytes, **options: Any) -> None:
        """Send a part and store what came of it."""
        batch_id, requests = self.send(number), self.parts[number - 1].part.requests
        data = b"\n".join(line.rstrip(b"\n") for line in lines)
        store(self.storage, data, requests, batch_id=batch_id, **options)
        self.change(number, is_stored=True)

    def requests(self, number: int) -> bytes:
        """The requests of a part, as they are stored."""
        data = self.storage.read(requests_name(self.parts[number - 1].part.sha256))
        assert data is not None
        return gzip.decompress(data)

    def cutter(self, of_round: int, **limits: int) -> PartCutter:
        """Weighs requests as the submission was weighed."""
        prices = [default_prices().find(self.submission.spec.model, "2026-01-31")]
        gauge = Gauge("generate", assume_rates(), prices)
        first = len(self.parts) + 1
        return PartCutter(PartLimits(**limits), gauge, first_number=first, of_round=of_round)

    def plan_round(self, *, is_rescue: bool = False, may_send: bool = True, **limits: int) -> Round:
        """Plan the next round, and take over its parts."""
        number = len(self.records.rounds()) + 1
        with tempfile.TemporaryDirectory() as scratch:
            action = PlanRound(number, is_rescue, may_send)
            reading = Reading(self.storage, Path(scratch), lambda: None)
            write_round(reading, self.state, action, self.cutter(number, **limits))
        planned = self.records.rounds()[number - 1]
        self.parts += [PartState(part=part) for part in planned.parts]
        return planned

    def finish(
        self,
        reason: StopReason | None = None,
        key: ProofKey | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> SubmissionManifest:
        with tempfile.TemporaryDirectory() as scratch:
            return write_proof(Reading(self.storage, Path(scratch), check), self.state, reason, key)

    @property
    def answers(self) -> list[AnswerRow]:
        data = self.storage.read(self.records.answers_name)
        assert data is not None
        return [read_answer_row(line) for line in data.splitlines()]
