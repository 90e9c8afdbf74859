"""Pure: is every line of an input a request that Gemini will take, under a key of its own?

The form of a line: https://ai.google.dev/gemini-api/docs/batch-api. Gemini itself says nothing of a wrong line before
the batch has run, and matches nothing for a line without a key.
"""

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any, Literal

import msgspec

Kind = Literal["generate", "embed"]
CONTENT: dict[Kind, str] = {"generate": "contents", "embed": "content"}
MAX_LINE_BYTES = 64 * 1024 * 1024  # of a result line, which a worker still reads; an input line is no longer
SHOWN_CHARACTERS = 60
_BOM = b"\xef\xbb\xbf"


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with one line."""

    line: int  # from 1
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}"


class Request(msgspec.Struct, frozen=True, gc=False):
    """One line of an input that may be sent."""

    line: int
    data: bytes  # with its newline


class LineError(ValueError):
    """Why a line is no request; the text says what to do."""


class LineChecker:
    """Takes the lines of one input in their order; about 100 bytes a key."""

    def __init__(self, kind: Kind | None = None) -> None:
        """`kind` is what every request must be; by default what the first one is."""
        self.kind = kind
        self._seen: dict[bytes, int] = {}

    def check(self, lines: Iterable[bytes]) -> Iterator[Request | Problem]:
        """Judge each line, newline included where it has one. Blank lines at the end are nobody's fault."""
        blank = 0  # how many blank lines came since the last other one
        for number, line in enumerate(lines, 1):
            if not line.strip():
                blank += 1
                continue
            if blank:
                yield Problem(number - blank, "it is blank: Gemini takes every line as a request; delete it")
                blank = 0
            try:
                self._check_line(number, line)
            except LineError as error:
                yield Problem(number, str(error))
            else:
                yield Request(number, line)

    def _check_line(self, number: int, line: bytes) -> None:
        if len(line) > MAX_LINE_BYTES:
            raise LineError(f"it has over {MAX_LINE_BYTES >> 20} MiB; split the request")
        row = read_object(line)
        self._check_key(number, row.get("key"))
        self._check_request(row.get("request"))

    def _check_key(self, number: int, key: object) -> None:
        if not isinstance(key, str) or not key:
            raise LineError('it has no "key": give every line one, a text, or nobody can tell whose its answer is')
        token = blake2b(key.encode(), digest_size=16).digest()
        first = self._seen.setdefault(token, number)
        if first != number:
            raise LineError(f"its key {shortened(key)} is that of line {first} too: give every line a key of its own")

    def _check_request(self, request: object) -> None:
        if not isinstance(request, dict) or not request:
            raise LineError('it has no "request": write {"key": …, "request": {"contents": […]}}')
        found: Kind | None = next((kind for kind, field in CONTENT.items() if request.get(field)), None)
        if found is None:
            raise LineError(
                'its request has neither "contents" (for a model that answers) nor "content" (for embeddings)'
            )
        if self.kind is None:
            self.kind = found
        if found != self.kind:
            raise LineError(f'its request has "{CONTENT[found]}", and this batch takes "{CONTENT[self.kind]}"')


def read_object(line: bytes) -> dict[str, Any]:
    """A line's JSON object. Raises LineError with what is wrong."""
    if line.startswith(_BOM):
        raise LineError("it begins with a byte order mark; save the file as UTF-8 without one")
    try:
        row = msgspec.json.decode(line)
    except UnicodeDecodeError as error:
        raise LineError(f"it is no UTF-8: {error.reason} at byte {error.start}") from error
    except RecursionError as error:
        raise LineError("it is nested too deeply") from error
    except msgspec.DecodeError as error:
        raise LineError(f"it is no JSON: {error}") from error
    if not isinstance(row, dict):
        raise LineError('it is no JSON object: write {"key": …, "request": …}')
    return row


def shortened(key: str) -> str:
    """A key for people: in JSON, and not too long."""
    text = msgspec.json.encode(key).decode()
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"
