"""Pure: how an input is split into batches."""

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256

import msgspec

from receiver.submissions.checks import Kind, LineChecker, Problem

MAX_FILE_BYTES = 2_000_000_000  # "2 GB", by the smaller reading
MAX_INLINE_BYTES = 19 * 1000 * 1000  # the body must stay under 20 MB, and the requests are not all of it
NAMED_PROBLEMS = 20


class Part(msgspec.Struct, frozen=True):
    """The lines of one batch: a range of the input's bytes."""

    number: int  # from 1
    first_line: int
    offset: int  # bytes
    size_bytes: int
    requests: int


class Plan(msgspec.Struct, frozen=True):
    """What an input holds, and which batches it becomes."""

    kind: Kind
    sha256: str  # of the requests, hex; blank lines at the end left out
    size_bytes: int
    requests: int
    parts: tuple[Part, ...]


class Findings(msgspec.Struct):
    """What is wrong with an input: the first problems, and how many there are."""

    count: int = 0
    first: list[Problem] = []

    def add(self, problem: Problem) -> None:
        self.count += 1
        if len(self.first) < NAMED_PROBLEMS:
            self.first.append(problem)


def plan_parts(
    lines: Iterable[bytes], kind: Kind | None = None, max_bytes: int = MAX_FILE_BYTES, max_requests: int | None = None
) -> Plan | Findings:
    """Judge every line and split the input, in its order, into as few batches as the limits allow."""
    digest, findings, checker = sha256(), Findings(), LineChecker(kind)
    parts: list[Part] = []
    offset = 0
    for request in checker.check(_hashed(lines, digest.update)):
        if isinstance(request, Problem):
            findings.add(request)
            continue
        part = parts[-1] if parts else None
        if part is None or _is_full(part, request.size_bytes, max_bytes, max_requests):
            parts.append(Part(len(parts) + 1, request.line, offset, request.size_bytes, 1))
        else:
            size = part.size_bytes + request.size_bytes
            parts[-1] = msgspec.structs.replace(part, size_bytes=size, requests=part.requests + 1)
        offset += request.size_bytes
    if not parts and not findings.count:
        findings.add(Problem(1, "the input holds no request"))
    if findings.count:
        return findings
    requests = sum(part.requests for part in parts)
    return Plan(checker.kind or "generate", digest.hexdigest(), offset, requests, tuple(parts))


def _is_full(part: Part, size_bytes: int, max_bytes: int, max_requests: int | None) -> bool:
    return part.size_bytes + size_bytes > max_bytes or part.requests == max_requests


def _hashed(lines: Iterable[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
    """The same lines, each that holds anything into the digest."""
    for line in lines:
        if line.strip():
            update(line)
        yield line
