"""What a submission leaves: one row for each request, and the manifest of all of them. Pure.

`_submissions/<id>/answers.jsonl` has the rows in the order of the input, `manifest.json` beside it
the books: requests = answered + blocked + failed + missing.
"""

import json
from decimal import Decimal
from typing import Literal

import msgspec

from receiver.outputs.manifest import Record
from receiver.outputs.outcomes import ANSWERED, Outcome
from receiver.submissions.policy import Policy
from receiver.submissions.state import StopReason
from receiver.submissions.submission import Estimate
from receiver.tolerant_json import tolerant_reader

MISSING = "missing"  # no line has the key, in any batch that took the request
INVALID = "invalid"  # an answer that does not fit RESPONSE_SCHEMA


class AnswerRow(msgspec.Struct, gc=False, frozen=True):
    """The final outcome of one request: that of the last line that answered it, else of the last.

    `object`, `offset`, `length` and `sha256` are those of its line, as in a batch's index; None
    where it is missing.
    """

    request: int  # from 1, in the order of the input
    key: str
    round: int  # 0: the first sending
    batch: str | None  # "batches/<id>"; None where it was never sent
    outcome: str  # an Outcome, MISSING or INVALID
    object: str | None = None  # from the storage root
    offset: int | None = None  # bytes
    length: int | None = None  # bytes, without the newline
    sha256: str | None = None  # hex, of those bytes


read_answer_row = tolerant_reader(AnswerRow)


class BatchProof(msgspec.Struct, frozen=True):
    """One batch of a submission."""

    batch: str  # "batches/<id>"
    part: int
    round: int
    requests: int
    manifest_sha256: str | None  # hex; None where its results are lost


class RowsProof(msgspec.Struct, frozen=True, kw_only=True):
    """The table that a submission was made of: rows = requests + copied + reused."""

    rows: int
    requests: int  # that were asked
    copied: int  # rows that share the answer of an earlier row
    reused: int  # rows that got the answer of an earlier submission
    copied_from: dict[str, int]  # how many of these, by batch
    keys_sha256: str  # hex; of each row's key as JSON and a newline, in order
    objects: list[Record]  # what the export is made of, beside the answers

    @property
    def saved(self) -> int:
        """Rows that cost nothing."""
        return self.rows - self.requests


class SubmissionManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, what became of it, and what proves it."""

    submission: str  # its id
    project: str  # empty for the default project
    state: Literal["completed", "stopped"]
    reason: StopReason | None  # of a stopped one
    file: str  # what the input was called
    display_name: str
    model: str
    requests: int
    answered: int
    blocked: int  # refused for good; they are not sent again
    failed: int  # everything else that has a line
    missing: int
    outcomes: dict[str, int]  # of the requests, each counted once
    balanced: bool
    rounds: int  # that were sent after the first sending
    batches: list[BatchProof]
    cost: Decimal | None  # of all batches, in US dollars; None where one is unknown
    estimate: Estimate | None  # before it was sent
    policy: Policy
    ordered_at: float  # the `at` of the last word of a person that it ended under
    input_sha256: str  # hex, of the requests
    records: list[Record] = []  # the plan, and each round
    answers: Record
    rows: RowsProof | None = None  # None: it was made of requests
    version: str  # of the program that wrote it


read_submission_manifest = tolerant_reader(SubmissionManifest)


def encode_submission_manifest(manifest: SubmissionManifest) -> bytes:
    """Indented JSON; in ASCII where a name holds half a surrogate pair. Amounts are text."""
    try:
        return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(manifest), indent=2).encode() + b"\n"


def count_fates(outcomes: dict[str, int]) -> tuple[int, int, int, int]:
    """Answered, blocked, failed and missing requests, by the number of each outcome.

    >>> count_fates({"ok": 5, "blocked": 2, "error": 1, "truncated": 1, "missing": 3})
    (5, 2, 2, 3)
    """
    answered = sum(count for outcome, count in outcomes.items() if outcome in ANSWERED)
    blocked, missing = outcomes.get(Outcome.BLOCKED, 0), outcomes.get(MISSING, 0)
    return answered, blocked, sum(outcomes.values()) - answered - blocked - missing, missing
