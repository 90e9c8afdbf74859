"""Checks that every line of an input is a request that Gemini accepts, with a unique key. Pure.

The form of a line: https://ai.google.dev/gemini-api/docs/batch-api. Gemini refuses a whole file
because of one wrong line, and the answer to a line without a key can't be matched.
"""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import islice
from typing import Any

import msgspec

from receiver.answers.large_lines import find_excess, find_wide_text
from receiver.submissions.request_cautions import IN_CAMEL_CASE, Cautions, find_cautions
from receiver.submissions.request_faults import MAX_FAULTS, find_faults, find_misplaced
from receiver.submissions.request_schema import compile_check
from receiver.submissions.submission import RequestKind

CONTENT: dict[RequestKind, str] = {"generate": "contents", "embed": "content"}
MAX_LINE_BYTES = 64 * 1024 * 1024  # the longest result line that a worker reads
MAX_SHOWN_CHARACTERS = 60
MAX_EXPLAINED = (
    200  # lines: naming the faults of one takes 1 ms, a hundred times longer than the check
)
UNEXPLAINED = "it has fields that do not fit the schema, like lines before it"
TOO_DEEP = "it is nested too deeply"
_BOM = b"\xef\xbb\xbf"


class LineProblem(msgspec.Struct, frozen=True):
    """What is wrong with one line."""

    line: int  # from 1
    what: str
    is_field: bool = (
        False  # whether a field does not fit the schema, which may be older than the API
    )

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}"


class CheckedLine(msgspec.Struct, frozen=True, gc=False):
    """A line that may be sent."""

    line: int
    data: bytes  # with its newline
    request: dict[str, Any]


class LineError(ValueError):
    """Why a line is no request, and what to do."""


class FieldError(LineError):
    """A request has a field that does not fit the schema."""


class LineChecker:
    """Checks the lines of one input in order. Remembers each key in about 100 bytes."""

    def __init__(
        self,
        kind: RequestKind = "generate",
        *,
        inline: bool = False,
        allow_unknown_fields: bool = False,
    ) -> None:
        """`allow_unknown_fields`: a field that does not fit the schema is only a caution."""
        self.kind, self._inline, self._allow_unknown_fields = kind, inline, allow_unknown_fields
        self._explained = 0  # lines whose faults were named one by one
        self.cautions = Cautions()
        self._fits_in_snake_case = compile_check(kind, in_snake_case=True)
        self._fits = compile_check(kind, in_snake_case=False)
        self._seen: dict[bytes, int] = {}

    def check(self, lines: Iterable[bytes]) -> Iterator[CheckedLine | LineProblem]:
        """Judge each line, with its newline. Blank lines at the end are ignored."""
        blank = 0  # blank lines since the last other one
        for number, line in enumerate(lines, 1):
            if not line.strip():
                blank += 1
                continue
            if blank:
                yield LineProblem(
                    number - blank, "it is blank: Gemini takes every line as a request; delete it"
                )
                blank = 0
            try:
                request = self._check_line(number, line)
            except LineError as error:
                yield LineProblem(number, str(error), isinstance(error, FieldError))
            else:
                yield CheckedLine(number, line, request)

    def _check_line(self, number: int, line: bytes) -> dict[str, Any]:
        if len(line) > MAX_LINE_BYTES:
            raise LineError(f"it has over {MAX_LINE_BYTES >> 20} MiB; split the request")
        if excess := find_excess(line) or find_wide_text(line):
            raise LineError(f"it would take too much memory: {excess}; split the request")
        row = read_object(line)
        self._check_key(number, row.get("key"))
        self._check_members(number, row)
        try:
            return self._check_request(number, row.get("request"))
        except RecursionError as error:
            raise LineError(TOO_DEEP) from error

    def _check_key(self, number: int, key: object) -> None:
        if not isinstance(key, str) or not key:
            has = (
                'its "key" is no text'
                if isinstance(key, int | float | list | dict)
                else 'it has no "key"'
            )
            raise LineError(f"{has}: give every line a text as key, or its answer can't be matched")
        token = blake2b(key.encode(), digest_size=16).digest()
        first = self._seen.setdefault(token, number)
        if first != number:
            raise LineError(
                f"its key {shortened(key)} is also that of line {first}:"
                " give every line its own key"
            )

    def _check_members(self, number: int, row: Mapping[str, Any]) -> None:
        if "request" not in row or len(row) == len(("key", "request")):
            return
        misplaced = sorted(find_misplaced(self.kind, row))
        if misplaced and not self._allow_unknown_fields:
            raise FieldError("; ".join(misplaced))
        for fault in misplaced:
            self.cautions.add(number, fault)

    def _check_request(self, number: int, request: object) -> dict[str, Any]:
        if not isinstance(request, dict) or not request:
            raise LineError('it has no "request": write {"key": …, "request": {"contents": […]}}')
        if not self._fits_in_snake_case(request):
            self._judge_fields(number, request)
        if not request.get(CONTENT[self.kind]):
            raise LineError(
                f'its request has no "{CONTENT[self.kind]}", so there is nothing to answer'
            )
        for caution in find_cautions(request):
            self.cautions.add(number, caution)
        return request

    def _judge_fields(self, number: int, request: dict[str, Any]) -> None:
        if self._fits(request):
            if not self._inline:
                self.cautions.add(number, IN_CAMEL_CASE)
            return
        self._explained += 1
        is_one_of_many = self._explained > MAX_EXPLAINED
        faults = (
            [UNEXPLAINED]
            if is_one_of_many
            else list(islice(find_faults(self.kind, request), MAX_FAULTS))
        )
        if not self._allow_unknown_fields:
            raise FieldError("; ".join(faults))
        for fault in faults:
            self.cautions.add(number, fault)


def read_object(line: bytes) -> dict[str, Any]:
    """A line's JSON object. Raises LineError, which says what is wrong."""
    if line.startswith(_BOM):
        raise LineError("it begins with a byte order mark; save the file as UTF-8 without one")
    try:
        row = msgspec.json.decode(line)
    except UnicodeDecodeError as error:
        raise LineError(f"it is no UTF-8: {error.reason} at byte {error.start}") from error
    except RecursionError as error:
        raise LineError(TOO_DEEP) from error
    except msgspec.DecodeError as error:
        raise LineError(f"it is no JSON: {error}") from error
    if not isinstance(row, dict):
        raise LineError('it is no JSON object: write {"key": …, "request": …}')
    return row


def asks_for_embedding(line: bytes) -> bool:
    """Whether a line that Gemini accepted before asks for an embedding."""
    request = read_object(line).get("request")
    return isinstance(request, dict) and "contents" not in request and "content" in request


def shortened(key: str) -> str:
    """A key as a message shows it: in JSON, and not too long."""
    text = msgspec.json.encode(key).decode()
    is_short = len(text) <= MAX_SHOWN_CHARACTERS
    return text if is_short else f"{text[: MAX_SHOWN_CHARACTERS - 1]}…"
