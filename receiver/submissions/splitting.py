"""Splits an input into batches. Pure."""

from collections.abc import Iterable
from hashlib import sha256

import msgspec

from receiver.submissions.request_cautions import Caution
from receiver.submissions.submission import Part, RequestKind
from receiver.submissions.validation import CheckedLine, LineChecker, LineProblem

MAX_FILE_BYTES = 2_000_000_000  # the API's "2 GB", read as decimal
MAX_INLINE_BYTES = 19_000_000  # the whole body must stay under 20 MB
MAX_NAMED_PROBLEMS = 20


class SplitInput(msgspec.Struct, frozen=True):
    """What an input holds, and how it is split."""

    kind: RequestKind
    sha256: str  # hex; of all requests, without blank lines at the end
    size_bytes: int
    requests: int
    parts: tuple[Part, ...]
    cautions: tuple[Caution, ...] = ()  # worth knowing before it is sent


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
    max_bytes: int = MAX_FILE_BYTES,
    max_requests: int | None = None,
) -> SplitInput | InputProblems:
    """Check every line, and split the input in order into as few batches as the limits allow."""
    findings, cutter = InputProblems(), _Cutter(max_bytes, max_requests)
    for verdict in checker.check(lines):
        if isinstance(verdict, LineProblem):
            findings.add(verdict)
        elif len(verdict.data) > max_bytes:
            findings.add(
                LineProblem(
                    verdict.line,
                    f"it has {len(verdict.data):,} bytes;"
                    f" a batch sent this way takes {max_bytes:,}",
                )
            )
        elif not findings.count:
            cutter.add(verdict)
    if not findings.count and not cutter.requests:
        findings.add(LineProblem(1, "the input holds no request"))
    return findings if findings.count else cutter.plan(checker)


class _Cutter:
    """Collects requests into parts, and hashes each part and the whole."""

    def __init__(self, max_bytes: int, max_requests: int | None) -> None:
        self._max_bytes, self._max_requests = max_bytes, max_requests
        self._parts: list[Part] = []
        self._whole, self._piece = sha256(), sha256()
        self._size_bytes = self.requests = 0
        # Of the part that is not closed yet:
        self._first_line = self._part_bytes = self._part_requests = 0

    def add(self, request: CheckedLine) -> None:
        size = len(request.data)
        if self._part_requests == self._max_requests or self._part_bytes + size > self._max_bytes:
            self._close()
        if not self._part_requests:
            self._first_line = request.line
        self._whole.update(request.data)
        self._piece.update(request.data)
        self._part_bytes, self._part_requests = self._part_bytes + size, self._part_requests + 1
        self._size_bytes, self.requests = self._size_bytes + size, self.requests + 1

    def plan(self, checker: LineChecker) -> SplitInput:
        self._close()
        whole, parts = self._whole.hexdigest(), tuple(self._parts)
        return SplitInput(
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
