"""What a submission is. Pure, and apart from the checks, which a worker need not load."""

from hashlib import sha256
from typing import Any, Literal

import msgspec

RequestKind = Literal["generate", "embed"]


class Part(msgspec.Struct, frozen=True):
    """The lines of one batch: a range of the input's bytes."""

    number: int  # from 1
    first_line: int
    offset: int  # bytes
    size_bytes: int
    requests: int
    sha256: str = ""  # hex; empty in plans of earlier versions


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
        return sha256(msgspec.json.encode(asked)).hexdigest()[:20]


class Submission(msgspec.Struct, frozen=True):
    """The content of `plan.json`."""

    id: str
    spec: SubmissionSpec = msgspec.field(name="order")  # as earlier versions stored it
    file: str  # what the input was called
    requests: int
    parts: tuple[Part, ...]

    def name_of(self, part: Part) -> str:
        """The display name of a part's batch."""
        name = self.spec.display_name
        return name if len(self.parts) == 1 else f"{name} {part.number} of {len(self.parts)}"
