"""A submission as a test wants it, without an input."""

from typing import Any

import msgspec

from receiver.submissions.submission import Part, Submission, SubmissionSpec

SPEC = SubmissionSpec(
    project="",
    model="gemini-3.8-flash",
    kind="generate",
    inline=False,
    display_name="evening",
    is_named=True,
    webhook=None,
    metadata={},
    retry_of=None,
    sha256="0a",
)


def part(number: int = 1, **fields: Any) -> Part:
    """A part of ten requests."""
    usual = {"first_line": 1, "offset": 0, "size_bytes": 1000, "requests": 10}
    return Part(number=number, **(usual | fields))


def submission(parts: int = 1, tokens: int | None = None, **spec: Any) -> Submission:
    """One with so many parts of so many tokens."""
    asked = msgspec.structs.replace(SPEC, **spec)
    made = tuple(part(number, tokens=tokens) for number in range(1, parts + 1))
    return Submission(asked.id, asked, "requests.jsonl", 10 * parts, made)
