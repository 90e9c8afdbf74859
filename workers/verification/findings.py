"""What a verification is asked to check, and what it found."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from receiver.outputs.prices import Prices, default_prices
from receiver.outputs.proof_keys import PublicKey

MAX_FINDINGS = 100
MAX_NOTES = 100


def _ignore_progress(_objects: int, _total: int) -> None:
    pass


@dataclass(frozen=True)
class VerifyOptions:
    """What to check beyond what the storage alone can prove."""

    prices: Prices = field(default_factory=default_prices)
    public_keys: tuple[PublicKey, ...] = ()  # if any, one of them must have signed the manifest
    response_schema: dict[str, Any] | None = None  # RESPONSE_SCHEMA, if it is known
    # Takes how many more objects were read, and how many there are.
    on_progress: Callable[[int, int], None] = _ignore_progress
    # Off: books that a manifest itself says do not balance are only a note, since others count.
    judges_books: bool = True


class Discrepancy(msgspec.Struct, frozen=True):
    """One thing that is wrong."""

    object: str  # from the storage root
    line: int | None  # of the source; None when the object as a whole is wrong
    message: str

    def __str__(self) -> str:
        place = self.object if self.line is None else f"{self.object}, line {self.line}"
        return f"{place}: {self.message}"


@dataclass(kw_only=True)
class Findings:
    """What is wrong, and what could not be checked."""

    off: int = 0  # how many things are wrong
    findings: list[Discrepancy] = field(default_factory=list)  # the first MAX_FINDINGS of them
    notes: list[str] = field(default_factory=list)  # what could not be checked, and why
    signed_by: str | None = None  # the public key, of those that were asked for

    def find(self, name: str, message: str, line: int | None = None) -> None:
        """Add what is wrong with an object."""
        self.add([Discrepancy(name, line, message)])

    def add(self, findings: Iterable[Discrepancy]) -> None:
        for finding in findings:
            self.off += 1
            if self.off <= MAX_FINDINGS:
                self.findings.append(finding)

    def note(self, text: str) -> None:
        if len(self.notes) < MAX_NOTES:
            self.notes.append(text)


@dataclass
class VerifyReport(Findings):
    """What was found of one batch."""

    batch: str  # "batches/<id>"
    lines: int = 0  # rows of the index
    objects: int = 0
    size_bytes: int = 0  # of the outputs
    replaced: list[str] = field(default_factory=list)  # older manifests that this one replaced


@dataclass
class SubmissionReport(Findings):
    """What was found of one submission."""

    submission: str  # its id
    requests: int = 0
    batch_count: int = 0
    batches: list[VerifyReport] = field(default_factory=list)  # those that were verified

    def take(self, batch: VerifyReport) -> None:
        """Add what was found of one of its batches."""
        self.batches.append(batch)
        self.add(batch.findings)
        self.off += batch.off - len(batch.findings)  # those that are not named
        for note in batch.notes:
            self.note(f"{batch.batch}: {note}")
