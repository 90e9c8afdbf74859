"""Parses Gemini's descriptions of batches. Pure.

They are described in https://ai.google.dev/api/batch-api. Fields can be strings, numbers, absent or
new, so each is read tolerantly, and each batch on its own: one that can't be read does not hide
others.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from receiver.batch_names import GEMINI_NAME, split_tag
from receiver.errors import UnreadableBatchError

TERMINAL_STATES = frozenset({"SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"})
STATES_WITHOUT_OUTPUT = frozenset({"FAILED", "CANCELLED", "EXPIRED"})
FILE_NAME = re.compile(r"files/[A-Za-z0-9_-]{1,128}")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")
MAX_COUNT_DIGITS = 15  # no batch has so many requests; JSON's numbers are exact up to there
MAX_SHOWN = 200
INLINED = "inlined responses"
NOTHING = msgspec.Raw(b"null")


@dataclass(frozen=True)
class Stats:
    """Requests of a batch by outcome, as far as Gemini says, which may not count while it runs."""

    succeeded: int = 0
    failed: int = 0
    pending: int | None = None


@dataclass(frozen=True)
class Batch:
    """A batch job as Gemini describes it."""

    name: str  # "batches/<id>"
    state: str  # "SUCCEEDED", without the prefix that differs between the service and its guide
    display_name: str | None  # as the user gave it
    model: str | None  # "models/gemini-3.5-flash"
    created: str | None  # RFC 3339 with up to nine fraction digits
    ended: str | None
    requests: int | None  # batchStats.requestCount
    result_file: str | None  # "files/batch-<id>"
    inlined: tuple[bytes, ...] | None  # a compact JSON object per response, otherwise as sent
    error_code: int | None
    error_message: str | None
    stats: Stats = Stats()
    input_file: str | None = None  # "files/<id>"; None for inline requests
    is_done: bool = False  # by Gemini's `done`, since its state may be one that is not known here
    tag: str | None = None  # of the `batches submit` call that created it

    @property
    def is_terminal(self) -> bool:
        return self.is_done or self.state in TERMINAL_STATES

    @property
    def event(self) -> str:
        """The type of the event that tells of its end: "batch.succeeded"."""
        return f"batch.{self.state.lower()}"

    @property
    def results(self) -> int | None:
        """The number of results by Gemini's counts, or of all requests if it has none."""
        return self.stats.succeeded + self.stats.failed or self.requests

    @property
    def has_output(self) -> bool:
        return self.result_file is not None or self.inlined is not None

    @property
    def lacks_output(self) -> bool:
        """Whether it has ended in a way that must have results, but names none."""
        has_error = self.error_code is not None or self.error_message is not None
        is_without = self.state in STATES_WITHOUT_OUTPUT or (
            has_error and "SUCCEEDED" not in self.state
        )
        return self.is_terminal and not self.has_output and not is_without


@dataclass(frozen=True)
class Unread:
    """An entry in a list of batches that can't be read."""

    name: str  # "batches/<id>", something else, or empty
    reason: str
    tag: str | None = None  # as in a Batch


def is_older(one: Batch | Unread, oldest: str) -> bool:
    """Whether it was created before an RFC 3339 time, as far as Gemini says."""
    return isinstance(one, Batch) and bool(one.created) and (one.created or "") < oldest


class _Output(msgspec.Struct, rename="camel"):
    responses_file: str | None = None
    inlined_responses: msgspec.Raw = NOTHING


class _Inlined(msgspec.Struct, rename="camel"):
    inlined_responses: list[msgspec.Raw] = []


class _Metadata(msgspec.Struct, rename="camel"):
    name: Any = None
    state: Any = None
    display_name: Any = None
    model: Any = None
    create_time: Any = None
    end_time: Any = None
    batch_stats: Any = None
    input_config: Any = None
    output: _Output | None = None
    error: Any = None


class _Operation(msgspec.Struct):
    name: Any = None
    metadata: _Metadata | None = None
    response: _Output | None = None
    error: Any = None
    done: Any = None


def read_batch(operation: msgspec.Raw | bytes, name: str) -> Batch:
    """A batch with its inlined responses; `name` is for errors. Raises UnreadableBatchError."""
    found = _decode(bytes(operation), name)
    inlined = _find_inlined(found, name)
    rows = None if inlined is None else tuple(_compact(row) for row in inlined)
    return _read(found, name, rows)


def read_listed(operation: msgspec.Raw | bytes) -> Batch | Unread:
    """One batch of a list, without its inlined responses."""
    name = _find_name(bytes(operation))
    if not GEMINI_NAME.fullmatch(name):
        return Unread(name[:MAX_SHOWN], "its name is none of a batch" if name else "it has no name")
    try:
        return _read(_decode(bytes(operation), name), name, None)
    except UnreadableBatchError as error:
        return Unread(name, str(error)[: 2 * MAX_SHOWN], _find_tag(bytes(operation)))


class _Named(msgspec.Struct):
    name: Any = None
    metadata: Any = None


def _find_name(operation: bytes) -> str:
    try:
        name = msgspec.json.decode(operation, type=_Named).name
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return ""
    return name if isinstance(name, str) else ""


def _find_tag(operation: bytes) -> str | None:
    try:
        metadata = msgspec.json.decode(operation, type=_Named).metadata
    except (ValueError, RecursionError):
        return None
    return split_tag(_text(_Fields(metadata).get("displayName")))[1]


def _decode(operation: bytes, name: str) -> _Operation:
    try:
        return msgspec.json.decode(operation, type=_Operation)
    except (ValueError, RecursionError) as error:
        raise UnreadableBatchError(
            f"Gemini's answer on {name} has an unexpected form: {error}"
        ) from error


def _read(found: _Operation, name: str, inlined: tuple[bytes, ...] | None) -> Batch:
    metadata = found.metadata or _Metadata()
    code, message = _read_error(found.error if found.error is not None else metadata.error)
    stats = _Fields(metadata.batch_stats)
    display_name, tag = split_tag(_text(metadata.display_name))
    return Batch(
        name=_text(found.name) or "",
        state=(_text(metadata.state) or "").rpartition("STATE_")[2] or "UNSPECIFIED",
        display_name=display_name,
        model=_text(metadata.model),
        created=_read_time(metadata.create_time),
        ended=_read_time(metadata.end_time),
        requests=stats.count("requestCount"),
        stats=Stats(
            stats.count("successfulRequestCount") or 0,
            stats.count("failedRequestCount") or 0,
            stats.count("pendingRequestCount"),
        ),
        input_file=_text(_Fields(metadata.input_config).get("fileName")),
        result_file=_find_file(found, name),
        inlined=inlined,
        error_code=code,
        error_message=message,
        is_done=found.done is True,
        tag=tag,
    )


def _outputs(found: _Operation) -> list[_Output]:
    """Where results are: Gemini says it in one place, or in two."""
    return [
        output for output in (found.metadata and found.metadata.output, found.response) if output
    ]


def _find_file(found: _Operation, name: str) -> str | None:
    said = {output.responses_file for output in _outputs(found) if output.responses_file}
    files = {file for file in said if FILE_NAME.fullmatch(file)}
    if len(files) > 1:
        raise UnreadableBatchError(
            f"{name} names two result files: {_shown(files)}; nothing was fetched"
        )
    if said and not files:
        words = (
            f"{name} names a result file that is no file name: {_shown(said)}; nothing was fetched"
        )
        raise UnreadableBatchError(words)
    return next(iter(files), None)


def _find_inlined(found: _Operation, name: str) -> list[msgspec.Raw] | None:
    held = [bytes(output.inlined_responses) for output in _outputs(found)]
    rows = [_read_rows(one, name) for one in held if one != b"null"]
    if len({len(one) for one in rows}) > 1:
        counts = " and ".join(str(len(one)) for one in rows)
        raise UnreadableBatchError(
            f"{name} holds its {INLINED} twice, but {counts} of them; nothing was taken"
        )
    return rows[0] if rows else None


def _read_rows(inlined: bytes, name: str) -> list[msgspec.Raw]:
    """The API nests the list in an object of the same name; a plain list is read too."""
    try:
        if inlined.startswith(b"["):
            return msgspec.json.decode(inlined, type=list[msgspec.Raw])
        return msgspec.json.decode(inlined, type=_Inlined).inlined_responses
    except (ValueError, RecursionError) as error:
        raise UnreadableBatchError(
            f"{name} holds {INLINED} in an unexpected form: {error}"
        ) from error


def _compact(row: msgspec.Raw) -> bytes:
    """A row without the API's indentation. Only white space between tokens changes."""
    return msgspec.json.format(bytes(row), indent=-1)


def _shown(names: set[str]) -> str:
    return " and ".join(repr(name[:MAX_SHOWN]) for name in sorted(names))


class _Fields:
    """The members of what should be an object."""

    def __init__(self, found: object) -> None:
        self._found: dict[str, Any] = found if isinstance(found, dict) else {}

    def get(self, name: str) -> Any:
        return self._found.get(name)

    def count(self, name: str) -> int | None:
        """A number of requests, which the API writes as text; None for anything else."""
        value = self.get(name)
        text = "" if isinstance(value, bool) else str(value)
        is_count = text.isascii() and text.isdecimal() and len(text) <= MAX_COUNT_DIGITS
        return int(text) if is_count else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _read_time(value: object) -> str | None:
    """A time in UTC as the API writes it, so that they compare as text; None for anything else."""
    text = _text(value) or ""
    if RFC3339.fullmatch(text):
        return text
    with suppress(ValueError, OverflowError):
        time = datetime.fromisoformat(text)
        if time.tzinfo is not None:
            return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return None


def _read_error(value: object) -> tuple[int | None, str | None]:
    error = _Fields(value)
    code = error.get("code")
    is_number = isinstance(code, int) and not isinstance(code, bool)
    return code if is_number else None, _text(error.get("message"))
