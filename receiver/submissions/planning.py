"""Turns a user's request into a submission: check the input, plan it, or find the earlier plan."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from receiver.errors import FaultyInputError, SubmissionError
from receiver.storage import Storage
from receiver.submissions.gauges import Gauge
from receiver.submissions.part_copy import with_hashes
from receiver.submissions.records import SubmissionRecords
from receiver.submissions.request_schema import read_schema
from receiver.submissions.splitting import (
    MAX_FILE_BYTES,
    MAX_INLINE_BYTES,
    InputProblems,
    PartLimits,
    SplitInput,
    split_input,
)
from receiver.submissions.submission import RequestKind, Submission, SubmissionSpec
from receiver.submissions.validation import MAX_LINE_BYTES, LineChecker

FIELD_HINT = (
    "\nFields are those that {sdk} knows; for a newer one say --allow-unknown-fields,"
    " and Gemini judges it."
)
SKIPPED_BYTES = 1024 * 1024  # at once, of the rest of a line that is too long
HASH_CHARACTERS = 8  # of the input's hash, in a display name that the user did not choose


@dataclass(frozen=True)
class SubmitRequest:
    """What the user asks for; the input is not read yet."""

    project: str
    model: str
    is_embedding: bool = False  # by the user's word; a model's name may say so too
    inline: bool = False
    display_name: str | None = None
    max_requests: int | None = None
    webhook: str | None = None
    metadata: dict[str, Any] | None = None
    retry_of: str | None = None  # "batches/<id>"
    allow_unknown_fields: bool = False
    table_sha256: str | None = None  # hex, of the table whose rows are asked
    attaches_files: bool = False

    @property
    def kind(self) -> RequestKind:
        return "embed" if self.is_embedding or "embedding" in self.model.lower() else "generate"


def check_input(
    path: Path,
    request: SubmitRequest,
    on_progress: Callable[[int], None] = lambda _: None,
    gauge: Gauge | None = None,
    enqueue_limit: int | None = None,
) -> SplitInput:
    """Read the whole input once. `on_progress` gets the size of each line in bytes.

    `gauge` says what tokens the requests have and what they cost, `enqueue_limit` how many of the
    model may be enqueued at a time. Raises SubmissionError, which names the lines that are wrong.
    """
    limits = PartLimits(
        MAX_INLINE_BYTES if request.inline else MAX_FILE_BYTES, request.max_requests, enqueue_limit
    )
    checker = LineChecker(
        request.kind, inline=request.inline, allow_unknown_fields=request.allow_unknown_fields
    )
    try:
        with path.open("rb") as lines:
            plan = split_input(_read_lines(lines, on_progress), checker, limits, gauge)
    except OSError as error:
        raise SubmissionError(f"{path} can't be read: {error.strerror}") from error
    if isinstance(plan, InputProblems):
        named = "\n".join(f"  {problem}" for problem in plan.first)
        more = (
            f"\n  and {plan.count - len(plan.first)} more" if plan.count > len(plan.first) else ""
        )
        hint = (
            FIELD_HINT.format(sdk=read_schema().sdk)
            if any(one.is_field for one in plan.first)
            else ""
        )
        faulty = (
            f"1 line of {path} is no request"
            if plan.count == 1
            else f"{plan.count:,} lines of {path} are no requests"
        )
        raise FaultyInputError(
            f"nothing was sent: {faulty}:\n{named}{more}{hint}",
            count=plan.count,
            first=[(problem.line, problem.what) for problem in plan.first],
        )
    _refuse_impossible(plan, request)
    return plan


def _refuse_impossible(plan: SplitInput, request: SubmitRequest) -> None:
    if plan.kind == "embed" and request.inline:
        raise SubmissionError(
            "inline embeddings carry no keys, so nobody could match them: send them as a file"
        )
    if plan.kind == "embed" and request.webhook:
        raise SubmissionError(
            "Gemini takes no webhook for one batch of embeddings: register one for the project"
        )


def _read_lines(file: BinaryIO, on_progress: Callable[[int], None]) -> Iterator[bytes]:
    """Every line; of one that is too long, no more than shows it, whatever its size."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        on_progress(len(line))
        yield line
        is_cut = len(line) > MAX_LINE_BYTES
        while is_cut and line and not line.endswith(b"\n"):
            line = file.readline(SKIPPED_BYTES)
            on_progress(len(line))


def settle_submission(storage: Storage, path: Path, draft: Submission) -> tuple[Submission, bool]:
    """Store the plan. Gives the one that counts, and whether it was there before."""
    records = SubmissionRecords(storage, draft.id)
    holding, is_known = records.settle_plan(draft)
    if not all(part.sha256 for part in holding.parts):
        holding = with_hashes(holding, path)
        records.complete_plan(holding)  # a worker knows the requests by their hashes alone
    return holding, is_known


def draft_submission(path: Path, request: SubmitRequest, plan: SplitInput) -> Submission:
    """What would be sent; nothing is stored."""
    name = request.display_name or f"{path.stem[:60]}-{plan.sha256[:HASH_CHARACTERS]}"
    spec = SubmissionSpec(
        project=request.project,
        model=request.model,
        kind=plan.kind,
        inline=request.inline,
        display_name=name,
        is_named=request.display_name is not None,
        webhook=request.webhook,
        metadata=request.metadata or {},
        retry_of=request.retry_of,
        sha256=plan.sha256,
        table_sha256=request.table_sha256,
        attaches_files=request.attaches_files,
    )
    return Submission(
        spec.id, spec, path.name, plan.requests, plan.parts, plan.estimate, submitted_at=time.time()
    )
