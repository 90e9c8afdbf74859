"""What a verification is asked to check, and what it found."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from receiver.outputs.prices import Prices, default_prices
from receiver.outputs.proof_keys import PublicKey

MAX_FINDINGS = 100
MAX_NOTES = 100


@dataclass(frozen=True)
class VerifyOptions:
    """By default only what needs nothing else than the storage."""

    prices: Prices = field(default_factory=default_prices)
    public_keys: tuple[
        PublicKey, ...
    ] = ()  # one of them must have signed the manifest; none: nobody asks
    response_schema: dict[str, Any] | None = None  # RESPONSE_SCHEMA, as far as it is known
    read: Callable[[int, int], None] = lambda _objects, _whole: (
        None
    )  # hears how many more objects were read, of how many


class Discrepancy(msgspec.Struct, frozen=True):
    """One thing that is off."""

    object: str  # from the storage root
    line: int | None  # of the source; None when the object as a whole is off
    message: str

    def __str__(self) -> str:
        place = self.object if self.line is None else f"{self.object}, line {self.line}"
        return f"{place}: {self.message}"


@dataclass
class VerifyReport:
    """What was found of one batch."""

    batch: str  # "batches/<id>"
    lines: int = 0  # rows of the index
    objects: int = 0
    size_bytes: int = 0  # of the outputs
    replaced: list[str] = field(
        default_factory=list
    )  # older manifests that this one took the place of
    off: int = 0  # how many things are off
    findings: list[Discrepancy] = field(default_factory=list)  # the first MOST_FINDINGS of them
    notes: list[str] = field(
        default_factory=list
    )  # what could not be checked and why, and what is there besides
    signed_by: str | None = None  # the public key, of those that were asked for

    def add(self, findings: Iterable[Discrepancy]) -> None:
        for finding in findings:
            self.off += 1
            if self.off <= MAX_FINDINGS:
                self.findings.append(finding)

    def note(self, text: str) -> None:
        if len(self.notes) < MAX_NOTES:
            self.notes.append(text)
