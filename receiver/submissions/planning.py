"""From what a user asks for to a submission that can be sent: check, plan, or find it planned already."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from receiver.errors import SubmissionError
from receiver.storage import Storage
from receiver.submissions.content import with_hashes
from receiver.submissions.parts import Kind
from receiver.submissions.plans import MAX_FILE_BYTES, MAX_INLINE_BYTES, Findings, Plan, plan_parts
from receiver.submissions.records import Order, Submission, SubmissionRecords
from receiver.submissions.request_schema import read_schema
from receiver.submissions.validation import LineChecker

FIELD_HINT = "\nFields are those that {sdk} knows; for a newer one say --allow-unknown-fields, and Gemini judges it."
KEY_LENGTH = 8  # characters of the content's hash in a name that nobody chose


@dataclass(frozen=True)
class SubmitRequest:
    """What a user asks for; the input itself is not read yet."""

    project: str
    model: str
    is_embedding: bool = False  # said by the user; an embedding model's name says it too
    inline: bool = False
    display_name: str | None = None
    max_requests: int | None = None
    webhook: str | None = None
    metadata: dict[str, Any] | None = None
    retry_of: str | None = None  # "batches/<id>"
    allow_unknown_fields: bool = False

    @property
    def kind(self) -> Kind:
        return "embed" if self.is_embedding or "embedding" in self.model.lower() else "generate"


def check_input(
    path: Path, wish: SubmitRequest, read: Callable[[int], None] = lambda _: None
) -> Plan:
    """Read the whole input once. Raises SubmissionError that names wrong lines; `read` hears sizes of lines."""
    max_bytes = MAX_INLINE_BYTES if wish.inline else MAX_FILE_BYTES
    checker = LineChecker(
        wish.kind, inline=wish.inline, allow_unknown_fields=wish.allow_unknown_fields
    )
    try:
        with path.open("rb") as lines:
            plan = plan_parts(_heard(lines, read), checker, max_bytes, wish.max_requests)
    except OSError as error:
        raise SubmissionError(f"{path} can't be read: {error.strerror}") from error
    if isinstance(plan, Findings):
        named = "\n".join(f"  {problem}" for problem in plan.first)
        more = (
            f"\n  and {plan.count - len(plan.first)} more" if plan.count > len(plan.first) else ""
        )
        hint = (
            FIELD_HINT.format(sdk=read_schema().sdk)
            if any(one.is_field for one in plan.first)
            else ""
        )
        raise SubmissionError(
            f"nothing was sent: {plan.count} lines of {path} are no requests:\n{named}{more}{hint}"
        )
    _refuse_impossible(plan, wish)
    return plan


def _refuse_impossible(plan: Plan, wish: SubmitRequest) -> None:
    if plan.kind == "embed" and wish.inline:
        raise SubmissionError(
            "inline embeddings carry no keys, so nobody could match them: send them as a file"
        )
    if plan.kind == "embed" and wish.webhook:
        raise SubmissionError(
            "Gemini takes no webhook for one batch of embeddings: register one for the project"
        )


def _heard(lines: Any, read: Callable[[int], None]) -> Any:
    for line in lines:
        read(len(line))
        yield line


def settle_submission(storage: Storage, path: Path, draft: Submission) -> tuple[Submission, bool]:
    """The submission that holds, written down for good, and whether an earlier one does."""
    holding, is_known = SubmissionRecords(storage, draft.id).settle_plan(draft)
    if all(part.sha256 for part in holding.parts):
        return holding, is_known
    return with_hashes(holding, path), is_known


def draft_submission(path: Path, wish: SubmitRequest, plan: Plan) -> Submission:
    """What would be sent; nothing is written down."""
    name = wish.display_name or f"{path.stem[:60]}-{plan.sha256[:KEY_LENGTH]}"
    order = Order(
        project=wish.project,
        model=wish.model,
        kind=plan.kind,
        inline=wish.inline,
        display_name=name,
        is_named=wish.display_name is not None,
        webhook=wish.webhook,
        metadata=wish.metadata or {},
        retry_of=wish.retry_of,
        sha256=plan.sha256,
    )
    return Submission(order.id, order, path.name, plan.requests, plan.parts)
