"""A desk: our commands, with a storage, a Valkey and the sandbox, but without a worker."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from click.testing import CliRunner, Result

from receiver.batch_names import SubmissionName
from receiver.cli import main
from receiver.inbox.ledger import Inbox
from receiver.inbox.redis import SUBMISSIONS
from receiver.outputs.manifest import Record
from receiver.storage import LocalStorage
from receiver.submissions.ledger_entry import accept_submission
from receiver.submissions.policy import Order, Policy
from receiver.submissions.proof import SubmissionManifest
from receiver.submissions.records import Created, CreateIntent, SubmissionRecords
from receiver.submissions.state import StopReason
from receiver.submissions.submission import Part, Submission, SubmissionSpec
from tests.receiver.records import put_manifest

MODEL = "gemini-3.5-flash"


@dataclass
class Desk:
    """Where a person sits; `submit` records what `batches submit` would have, in parts of 10."""

    folder: Path
    client: "redis.Redis"
    environ: Mapping[str, str]
    storage: LocalStorage = field(init=False)

    def __post_init__(self) -> None:
        self.storage = LocalStorage(self.folder / "outputs")

    def run(self, *args: str, **more: str) -> Result:
        return CliRunner().invoke(main, args, env={**self.environ, **more})

    def read(self, *args: str) -> Any:
        """What a command that ends well prints as JSON."""
        result = self.run(*args, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def submit(  # noqa: PLR0913 - what differs between submissions
        self,
        display_name: str = "evening",
        *,
        parts: int = 2,
        project: str = "",
        policy: Policy | None = None,
        model: str = MODEL,
        most_cost: Decimal | None = None,
    ) -> Submission:
        spec = SubmissionSpec(
            project=project,
            model=model,
            kind="generate",
            inline=False,
            display_name=display_name,
            is_named=True,
            webhook=None,
            metadata={},
            retry_of=None,
            sha256="ab",
        )
        pieces = tuple(
            Part(number, 1, 0, 100, 10, "ab", tokens=1000 * number, most_cost=most_cost)
            for number in range(1, parts + 1)
        )
        submission = Submission(
            spec.id, spec, "requests.jsonl", 10 * parts, pieces, submitted_at=time.time()
        )
        records = self.records(submission)
        records.write_policy(policy or Policy())
        records.write_order(Order("run", time.time()))
        records.settle_plan(submission)
        accept_submission(self.client, self.name(submission))
        return submission

    def name(self, submission: Submission) -> SubmissionName:
        return SubmissionName(submission.spec.project, submission.id)

    def records(self, submission: Submission) -> SubmissionRecords:
        return SubmissionRecords(self.storage, submission.id)

    def send(self, submission: Submission, number: int, batch_id: str) -> str:
        """Part `number` became this batch."""
        part, records = submission.parts[number - 1], self.records(submission)
        records.record_intent(part, 1, CreateIntent("files/x", "evening", time.time(), "tag"))
        records.write_created(part, Created(f"batches/{batch_id}"))
        records.write_mark(part, "kept")
        return f"batches/{batch_id}"

    def store(self, batch: str, cost: str | None = None, **outcomes: int) -> None:
        """A worker has stored this batch."""
        known = {"currency": "USD", "amount": cost, "prices": "2026-10-07"}
        known |= dict.fromkeys(("input", "cached", "output"), cost)
        put_manifest(
            self.storage, batch, outcomes=outcomes, cost=known if cost else "unknown", requests=10
        )

    def wait_for(self, submission: Submission, cause: str) -> None:
        """A worker has looked at it, and says what it waits for."""
        inbox, name = Inbox(self.client, ledger=SUBMISSIONS), str(self.name(submission))
        lease = inbox.claim(name)
        assert lease is not None
        inbox.postpone(lease, 600, cause, "waits")

    def end(
        self, submission: Submission, answered: int, reason: StopReason | None = None
    ) -> SubmissionManifest:
        """A worker has finished it."""
        records, spec = self.records(submission), submission.spec
        manifest = SubmissionManifest(
            submission=submission.id,
            project=spec.project,
            state="stopped" if reason else "completed",
            reason=reason,
            file=submission.file,
            display_name=spec.display_name,
            model=spec.model,
            requests=submission.requests,
            answered=answered,
            blocked=0,
            failed=submission.requests - answered,
            missing=0,
            outcomes={"ok": answered},
            balanced=True,
            rounds=0,
            batches=[],
            cost=Decimal("1.5"),
            estimate=None,
            policy=records.read_policy(),
            ordered_at=records.read_order().at,
            input_sha256="ab",
            answers=Record(records.answers_name, "ab"),
            version="0",
        )
        self.storage.put_many([(records.manifest_name, msgspec.json.encode(manifest))])
        return manifest


@pytest.fixture
def desk(tmp_path: Path, redis_url: str, client: "redis.Redis", sandbox_url: str) -> Desk:
    environ = {
        "GEMINI_API_KEY": "right-key",
        "GEMINI_API_KEY__ACME": "right-key",
        "GEMINI_BASE_URL": sandbox_url,
        "STORAGE_URL": (tmp_path / "outputs").as_uri(),
        "REDIS_URL": redis_url,
    }
    return Desk(tmp_path, client, environ)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An input."""
    path = tmp_path / "requests.jsonl"
    rows = (
        {"key": f"k{number}", "request": {"contents": [{"parts": [{"text": "Hi"}]}]}}
        for number in range(5)
    )
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path
