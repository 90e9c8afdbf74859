"""Pure: how an input is split into batches."""

from collections.abc import Iterable
from hashlib import sha256

import msgspec

from receiver.submissions.parts import Kind, Part
from receiver.submissions.request_cautions import Caution
from receiver.submissions.validation import LineChecker, Request, RequestProblem

MAX_FILE_BYTES = 2_000_000_000  # "2 GB", by the smaller reading
MAX_INLINE_BYTES = (
    19 * 1000 * 1000
)  # the body must stay under 20 MB, and the requests are not all of it
NAMED_PROBLEMS = 20


class Plan(msgspec.Struct, frozen=True):
    """What an input holds, and which batches it becomes."""

    kind: Kind
    sha256: str  # of the requests, hex; blank lines at the end left out
    size_bytes: int
    requests: int
    parts: tuple[Part, ...]
    cautions: tuple[Caution, ...] = ()  # what to know before it is sent


class Findings(msgspec.Struct):
    """What is wrong with an input: the first problems, and how many there are."""

    count: int = 0
    first: list[RequestProblem] = []

    def add(self, problem: RequestProblem) -> None:
        self.count += 1
        if len(self.first) < NAMED_PROBLEMS:
            self.first.append(problem)


def plan_parts(
    lines: Iterable[bytes],
    checker: LineChecker,
    max_bytes: int = MAX_FILE_BYTES,
    max_requests: int | None = None,
) -> Plan | Findings:
    """Judge every line and split the input, in its order, into as few batches as the limits allow."""
    findings, cutter = Findings(), _Cutter(max_bytes, max_requests)
    for verdict in checker.check(lines):
        if isinstance(verdict, RequestProblem):
            findings.add(verdict)
        elif len(verdict.data) > max_bytes:
            findings.add(
                RequestProblem(
                    verdict.line,
                    f"it has {len(verdict.data):,} bytes, and a batch sent this way takes {max_bytes:,}",
                )
            )
        elif not findings.count:
            cutter.add(verdict)
    if not findings.count and not cutter.requests:
        findings.add(RequestProblem(1, "the input holds no request"))
    return findings if findings.count else cutter.plan(checker)


class _Cutter:
    """Adds requests up to parts, and their bytes to the hashes of each part and of the whole."""

    def __init__(self, max_bytes: int, max_requests: int | None) -> None:
        self._max_bytes, self._max_requests = max_bytes, max_requests
        self._parts: list[Part] = []
        self._whole, self._piece = sha256(), sha256()
        self._first_line = self._part_bytes = self._part_requests = (
            0  # of the part that is not closed yet
        )
        self._size_bytes = self.requests = 0

    def add(self, request: Request) -> None:
        size = len(request.data)
        if self._part_requests == self._max_requests or self._part_bytes + size > self._max_bytes:
            self._close()
        if not self._part_requests:
            self._first_line = request.line
        self._whole.update(request.data)
        self._piece.update(request.data)
        self._part_bytes, self._part_requests = self._part_bytes + size, self._part_requests + 1
        self._size_bytes, self.requests = self._size_bytes + size, self.requests + 1

    def plan(self, checker: LineChecker) -> Plan:
        self._close()
        whole, parts = self._whole.hexdigest(), tuple(self._parts)
        return Plan(
            checker.kind, whole, self._size_bytes, self.requests, parts, tuple(checker.cautions)
        )

    def _close(self) -> None:
        self._parts.append(
            Part(
                number=len(self._parts) + 1,
                first_line=self._first_line,
                offset=self._size_bytes - self._part_bytes,
                size_bytes=self._part_bytes,
                requests=self._part_requests,
                sha256=self._piece.hexdigest(),
            )
        )
        self._piece, self._part_bytes, self._part_requests = sha256(), 0, 0
