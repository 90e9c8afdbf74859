"""A submission before the sandbox, whose jobs run in this process, one after the other."""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import redis

from receiver.batch_names import SubmissionName
from receiver.gemini.batches import Gemini
from receiver.gemini.operations import Batch
from receiver.inbox.entries import Entry
from receiver.inbox.ledger import Arrival
from receiver.inbox.ledgers import Ledgers, open_ledgers
from receiver.inbox.redis import SUBMISSIONS
from receiver.storage import LocalStorage
from receiver.submissions.ledger_entry import accept_submission
from receiver.submissions.planning import (
    SubmitRequest,
    check_input,
    draft_submission,
    settle_submission,
)
from receiver.submissions.policy import Command, Order, Policy
from receiver.submissions.records import SubmissionRecords
from receiver.submissions.stored_requests import store_requests
from receiver.submissions.submission import Submission
from tests.forwarding import Gate
from tests.waiting import eventually
from workers.advance import advance_submission
from workers.job.context import current_settings
from workers.process import process_batch

MODEL = "gemini-3.5-flash"


@dataclass
class Advancing:
    """One storage, one Redis, and submissions in them."""

    client: "redis.Redis"
    gate: Gate
    folder: Path

    @property
    def storage(self) -> LocalStorage:
        return LocalStorage(self.folder / "outputs")

    @property
    def ledgers(self) -> Ledgers:
        return open_ledgers(self.client)

    def submit(
        self,
        requests: int = 3,
        per_part: int = 1,
        policy: Policy | None = None,
        text: str = "Hi",
        **fields: object,
    ) -> "Submitted":
        """Do what `batches submit` does; `text` is what is asked, `fields` are of every part."""
        source = self.folder / f"{uuid.uuid4().hex}.jsonl"
        rows = [
            {"key": f"{source.stem}-{one}", "request": {"contents": [{"parts": [{"text": asked}]}]}}
            for one in range(requests)
            for asked in [f"{one} {source.stem} {text}"]
        ]
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        request = SubmitRequest("", MODEL, max_requests=per_part)
        draft = draft_submission(source, request, check_input(source, request))
        parts = tuple(msgspec.structs.replace(one, **fields) for one in draft.parts)
        draft = msgspec.structs.replace(draft, parts=parts)
        submission, _ = settle_submission(self.storage, source, draft)
        store_requests(self.storage, source, submission)
        source.unlink()

        submitted = Submitted(self, submission, SubmissionRecords(self.storage, submission.id))
        submitted.records.write_policy(policy or Policy(rounds=0))
        submitted.accept()
        return submitted

    @property
    def created(self) -> int:
        """How many batches Gemini was asked for."""
        return self.gate.count(":batchGenerateContent")


@dataclass
class Submitted:
    """One submission."""

    world: Advancing
    submission: Submission
    records: SubmissionRecords

    @property
    def name(self) -> str:
        return str(SubmissionName("", self.submission.id))

    @property
    def entry(self) -> Entry:
        return self.world.ledgers.submissions.entries([self.name])[self.name]

    def accept(self) -> None:
        accept_submission(self.world.client, SubmissionName("", self.submission.id))

    def order(self, command: Command, at: float = 1.0) -> None:
        """Do what `submissions pause`, `resume` and `cancel` do."""
        self.records.write_order(Order(command, at))
        self.accept()

    def wake(self) -> None:
        """A wait is over, or a lease has run out."""
        self.world.client.zadd(SUBMISSIONS.due, {self.name: 0}, xx=True)

    def advance(self) -> Entry:
        """One job. Gives what the ledger says after it."""
        advance_submission(self.name)
        return self.entry

    def batches(self) -> list[str]:
        """Those that are recorded, in the order of the parts."""
        rounds = (part for one in self.records.rounds() for part in one.parts)
        created = [self.records.created(part) for part in (*self.submission.parts, *rounds)]
        return [one.batch for one in created if one is not None]

    def at_gemini(self) -> list[Batch]:
        """Its batches in Gemini's own list, whoever created them."""
        with Gemini(self.world.gate.upstream, "right-key") as gemini:
            listed = [one for one in gemini.list_batches() if isinstance(one, Batch)]
        return [one for one in listed if (one.tag or "").startswith(self.submission.id)]

    def wait_for_batches(self) -> list[str]:
        """Until all that are recorded have ended at Gemini; flex parts have when they are."""
        names = [name for name in self.batches() if not name.startswith("batches/flex-")]
        with Gemini(self.world.gate.upstream, "right-key") as gemini:
            for name in names:
                eventually(partial(has_ended, gemini, name), 20, f"the end of {name}")
        return names

    def store_batches(self) -> None:
        """Wait until its batches have ended, and let workers store them."""
        batches = self.world.ledgers.batches
        for name in self.wait_for_batches():
            batches.accept([Arrival(name, "batch.succeeded", "static")])
            process_batch(name)
            assert batches.entries([name])[name].state == "done"

    def finish(self) -> Entry:
        """Let workers come by until it is finished."""

        def is_done() -> bool:
            if self.advance().state == "done":
                return True
            self.store_batches()
            return False

        eventually(is_done, 60, "the submission's end")
        return self.entry


def has_ended(gemini: Gemini, batch: str) -> bool:
    return gemini.get_batch(batch).is_terminal


def let_calls_age(submitted: Submitted) -> None:
    """Past the time for which the batch of a lost call is looked for."""
    folder = submitted.world.storage.root / "_submissions" / submitted.submission.id
    for path in (*folder.glob("*.creating.*.json"), *folder.glob("*.looked.*.json")):
        record = msgspec.json.decode(path.read_bytes())
        path.write_bytes(msgspec.json.encode(record | {"at": record["at"] - 1000}))


@contextmanager
def open_advancing(client: "redis.Redis", gate: Gate, folder: Path) -> Iterator[Advancing]:
    """The environment has the settings."""
    assert os.environ["GEMINI_BASE_URL"] == gate.url
    current_settings.cache_clear()
    yield Advancing(client, gate, folder)
    current_settings.cache_clear()
