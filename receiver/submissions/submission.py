"""What a submission is. Pure, and apart from the checks, which a worker need not load."""

from decimal import Decimal
from hashlib import sha256
from typing import Any, Literal

import msgspec

RequestKind = Literal["generate", "embed"]


# Where the requests of a part are sent: together as a batch, or one by one with the tier `flex`.
Lane = Literal["batch", "flex"]


class Part(msgspec.Struct, frozen=True):
    """The requests of one batch. Those of the first round are a range of the input's bytes."""

    number: int  # from 1, over all rounds of a submission
    first_line: int  # in the input; 0 in later rounds, whose requests come from all over it
    offset: int  # bytes
    size_bytes: int
    requests: int
    sha256: str = ""  # hex; empty in plans of earlier versions
    round: int = 0
    tokens: int | None = None  # of the input, estimated; None where nobody counted
    # The most that it can cost, in US dollars; None where no price or no limit is known.
    most_cost: Decimal | None = None
    lane: Lane = "batch"


class TokenRates(msgspec.Struct, frozen=True, kw_only=True):
    """How many tokens requests of one input have by their size, and answers of its model."""

    per_byte: float  # of text, on average
    most_per_byte: float  # of the densest that was counted, and some more
    per_attachment: float
    most_per_attachment: float
    counted: int = 0  # requests that Gemini counted; 0: these are assumptions and bounds
    input_limit: int  # tokens of one request
    output_limit: int  # tokens of one candidate whose request states no limit
    per_answer: float  # with thoughts, on average
    batches: int = 0  # of ours that say so; 0: it is an assumption


class Estimate(msgspec.Struct, frozen=True):
    """What a submission may cost, in US dollars; None where no price or limit is known."""

    low: Decimal | None
    expected: Decimal | None
    high: Decimal | None
    basis: str  # how it was made, in words
    input_tokens: int | None = None
    rates: TokenRates | None = None


class SubmissionSpec(msgspec.Struct, frozen=True):
    """What the user asked for, with the defaults filled in."""

    project: str  # empty for the default one
    model: str
    kind: RequestKind
    inline: bool
    display_name: str
    is_named: bool  # by the user; else the display name derives from the file's, which may change
    webhook: str | None  # URL that gets the events of these batches alone
    metadata: dict[str, Any]  # sent along to that webhook
    retry_of: str | None  # "batches/<id>"
    sha256: str  # of the requests
    table_sha256: str | None = None  # of the table whose rows they ask
    attaches_files: bool = False  # see `receiver.submissions.attached_files`

    @property
    def id(self) -> str:
        """Equal for equal requests, model and name; the webhook does not count."""
        model = self.model.removeprefix("models/")
        asked = [
            self.project,
            model,
            self.kind,
            self.display_name if self.is_named else "",
            self.retry_of,
            self.sha256,
        ]
        if self.table_sha256 is not None:  # another table may give the same requests
            asked.append(self.table_sha256)
        return sha256(msgspec.json.encode(asked)).hexdigest()[:20]


class Submission(msgspec.Struct, frozen=True):
    """The content of `plan.json`."""

    id: str
    spec: SubmissionSpec = msgspec.field(name="order")  # as earlier versions stored it
    file: str  # what the input was called
    requests: int
    parts: tuple[Part, ...]
    estimate: Estimate | None = None  # of what it costs, before anything was sent
    submitted_at: float = 0.0  # Unix time in seconds; 0 in plans of earlier versions

    def name_of(self, part: Part) -> str:
        """The display name of a part's batch."""
        name = self.spec.display_name
        if part.round:
            return f"{name} round {part.round}, part {part.number}"
        return name if len(self.parts) == 1 else f"{name} {part.number} of {len(self.parts)}"
