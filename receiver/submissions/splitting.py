"""Splits an input into batches. Pure."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from receiver.submissions.gauges import Gauge, Load, Weight, assume_rates
from receiver.submissions.request_cautions import Caution
from receiver.submissions.request_sizes import RequestSize, measure_request
from receiver.submissions.submission import Estimate, Part, RequestKind
from receiver.submissions.validation import LineChecker, LineProblem

MAX_FILE_BYTES = 2_000_000_000  # the API's "2 GB", read as decimal
MAX_INLINE_BYTES = 19_000_000  # the whole body must stay under 20 MB
MAX_NAMED_PROBLEMS = 20
# A part takes so much of what may be enqueued at a time: one is worked on and one is enqueued,
# while the next is on its way.
PART_SHARE = 3


class PartLimits(msgspec.Struct, frozen=True):
    """What one batch may hold."""

    size_bytes: int = MAX_FILE_BYTES
    requests: int | None = None
    enqueue_limit: int | None = None  # tokens of the model that may be enqueued at a time

    @property
    def tokens(self) -> int | None:
        """More than this only in a part of one request."""
        return None if self.enqueue_limit is None else self.enqueue_limit // PART_SHARE


NO_OTHER_LIMITS = PartLimits()


class SplitInput(msgspec.Struct, frozen=True):
    """What an input holds, and how it is split."""

    kind: RequestKind
    sha256: str  # hex; of all requests, without blank lines at the end
    size_bytes: int
    requests: int
    parts: tuple[Part, ...]
    cautions: tuple[Caution, ...] = ()  # worth knowing before it is sent
    estimate: Estimate | None = None  # of what it costs; None where nobody asked for it


class InputProblems(msgspec.Struct):
    """What is wrong with an input: the first problems, and how many there are."""

    count: int = 0
    first: list[LineProblem] = []

    def add(self, problem: LineProblem) -> None:
        self.count += 1
        if len(self.first) < MAX_NAMED_PROBLEMS:
            self.first.append(problem)


def split_input(
    lines: Iterable[bytes],
    checker: LineChecker,
    limits: PartLimits = NO_OTHER_LIMITS,
    gauge: Gauge | None = None,
) -> SplitInput | InputProblems:
    """Check every line, and split the input in order into as few batches as the limits allow.

    Without a gauge, tokens are bounded by bytes, and no price is known.
    """
    findings = InputProblems()
    cutter = PartCutter(limits, gauge or Gauge(checker.kind, assume_rates()))
    for verdict in checker.check(lines):
        if isinstance(verdict, LineProblem):
            findings.add(verdict)
            continue
        request = cutter.weigh(verdict.line, verdict.data, verdict.request)
        if problem := cutter.find_problem(request):
            findings.add(problem)
        elif not findings.count:
            cutter.add(request)
    if not findings.count and not cutter.requests:
        findings.add(LineProblem(1, "the input holds no request"))
    return findings if findings.count else cutter.plan(checker)


class WeighedRequest(NamedTuple):
    """A line that may be sent, and its tokens."""

    line: int  # in the input, from 1; 0 where that says nothing
    data: bytes  # with its newline
    size: RequestSize
    weight: Weight


class PartCutter:
    """Collects requests into parts, and hashes each part and the whole."""

    def __init__(
        self, limits: PartLimits, gauge: Gauge, *, first_number: int = 1, of_round: int = 0
    ) -> None:
        self._limits, self._gauge = limits, gauge
        self._first_number, self._round = first_number, of_round
        self._parts: list[Part] = []
        self._whole, self._load = sha256(), Load()
        self._size_bytes = self.requests = 0
        self._open()

    def _open(self) -> None:
        self._first_line = self._part_bytes = 0
        self._piece, self._part_load = sha256(), Load()

    def weigh(self, line: int, data: bytes, request: Mapping[str, Any]) -> WeighedRequest:
        size = measure_request(data, request)
        return WeighedRequest(line, data, size, self._gauge.weigh(size))

    def find_problem(self, request: WeighedRequest) -> LineProblem | None:
        """Why no batch takes a request, and what to do; None where one does."""
        size, most_bytes = len(request.data), self._limits.size_bytes
        if size > most_bytes:
            words = f"it has {size:,} bytes; a batch sent this way takes {most_bytes:,}"
            return LineProblem(request.line, words)
        limit, tokens = self._limits.enqueue_limit, request.weight.expected_input
        if limit is not None and tokens > limit:
            words = (
                f"it has about {tokens:,} tokens, and {limit:,} of the model may be enqueued at a"
                " time: shorten the request, or set GEMINI_TIER or ENQUEUED_TOKENS if the project"
                " may have more"
            )
            return LineProblem(request.line, words)
        return None

    def add(self, request: WeighedRequest) -> None:
        size = len(request.data)
        if self._part_load.requests and not self._fits(request):
            self._close()
        if not self._part_load.requests:
            self._first_line = request.line
        self._whole.update(request.data)
        self._piece.update(request.data)
        self._part_load.add(request.size, request.weight)
        self._part_bytes, self._size_bytes = self._part_bytes + size, self._size_bytes + size
        self.requests += 1

    def _fits(self, request: WeighedRequest) -> bool:
        """Whether the open part, which is not empty, takes one more request."""
        limits, load = self._limits, self._part_load
        return (
            load.requests != limits.requests
            and self._part_bytes + len(request.data) <= limits.size_bytes
            and (
                limits.tokens is None
                or load.dense_tokens + request.weight.dense_input <= limits.tokens
            )
        )

    def close(self) -> tuple[Part, ...]:
        """All parts; nothing may be added afterwards."""
        if self._part_load.requests:
            self._close()
        return tuple(self._parts)

    def plan(self, checker: LineChecker) -> SplitInput:
        parts = self.close()
        return SplitInput(
            kind=checker.kind,
            sha256=self._whole.hexdigest(),
            size_bytes=self._size_bytes,
            requests=self.requests,
            parts=parts,
            cautions=tuple(checker.cautions),
            estimate=self._gauge.estimate(self._load),
        )

    def _close(self) -> None:
        load = self._part_load
        part = Part(
            number=self._first_number + len(self._parts),
            first_line=self._first_line,
            offset=self._size_bytes - self._part_bytes,
            size_bytes=self._part_bytes,
            requests=load.requests,
            sha256=self._piece.hexdigest(),
            round=self._round,
            tokens=load.dense_tokens,
            most_cost=self._gauge.most_cost(load),
        )
        self._parts.append(part)
        self._load.merge(load)
        self._open()
