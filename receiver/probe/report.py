"""The report of a probe: what it holds. Pure.

Times are in seconds since the probe began. Their members, and only they, end in `_s`.
"""

from typing import Any, Literal

import msgspec

FORMAT = 1
Result = Literal["done", "not seen", "not tried", "failed"]


class Exchange(msgspec.Struct, kw_only=True):
    """A call and its answer, as shapes."""

    call: str  # what it was for
    request: str  # method and path, names replaced
    status: int | None = None  # None where no answer came
    headers: dict[str, str] = {}
    body: Any = None
    error: str = ""  # the kind of network error
    at_s: float = 0.0
    took_s: float = 0.0


class StateSeen(msgspec.Struct):
    """When a batch was first seen in a state."""

    state: str  # with the prefix that Gemini gives it
    at_s: float


class BatchSeen(msgspec.Struct, kw_only=True):
    """What became of a batch."""

    batch: str  # file, dynamic or cancelled
    states: list[StateSeen] = []
    ran_s: float | None = None  # from its creation to its end, by Gemini's clock
    source: str = ""  # how the inbox heard of its end


class DeliverySeen(msgspec.Struct, kw_only=True):
    """A delivery that the web process verified."""

    batch: str  # empty for a ping
    event: str
    verdict: str
    scheme: str
    kid: str = ""  # that its token names; v1 and v1a name none
    headers: dict[str, str] = {}
    body: Any = None
    at_s: float = 0.0
    after_end_s: float | None = None  # None where Gemini gave no times


class PublishedKey(msgspec.Struct):
    """A public key of Gemini's key set, without the key."""

    kid: str
    kty: str
    alg: str
    crv: str
    use: str


class Part(msgspec.Struct):
    """A part of the probe and what came of it."""

    part: str
    result: Result
    detail: str = ""  # why, and what to do


class Report(msgspec.Struct, kw_only=True):
    """All that a probe found out."""

    format: int = FORMAT
    version: str = ""  # of this program
    date: str = ""
    api: str = ""  # "Gemini", or "another" where GEMINI_BASE_URL names another one
    model: str = ""
    highest_cost_usd: str = ""
    parts: list[Part] = []
    calls: list[Exchange] = []
    batches: list[BatchSeen] = []
    deliveries: list[DeliverySeen] = []
    refused_deliveries: int = 0  # while it ran; of anybody
    keys: list[PublishedKey] = []
    left: int = 0  # what the probe made at Gemini and could not delete

    def add(self, part: str, result: Result, detail: str = "") -> None:
        """Note what came of a part; the last word counts."""
        self.parts = [*(one for one in self.parts if one.part != part), Part(part, result, detail)]


def encode_report(report: Report) -> bytes:
    """As JSON for people."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"
