"""Gemini's batches: what they are, what becomes of them, and their result files.

What the API answers is described in https://ai.google.dev/api/batch-api; fields can be strings, numbers or absent, so
everything is read with tolerance.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self
from urllib.parse import quote

import httpx
import msgspec

from receiver.errors import GeminiError
from receiver.gemini.batch_tags import split_tag
from receiver.gemini.models import full_model_name
from receiver.gemini.transport import Trace, Transport, decode, hide_key

TERMINAL_STATES = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"})
PAGE_SIZE = 100
BATCH_NAME = re.compile(r"batches/[A-Za-z0-9_-]{1,128}")
FILE_NAME = re.compile(r"files/[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True)
class Stats:
    """Requests of a batch by what became of them, as far as Gemini says; while a batch runs it may say nothing."""

    succeeded: int = 0
    failed: int = 0
    pending: int = 0


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
    inlined: tuple[bytes, ...] | None  # one compact JSON object a response, numbers and escapes as sent
    error_code: int | None
    error_message: str | None
    stats: Stats = Stats()  # how far it is
    input_file: str | None = None  # "files/<id>"; None for inline requests
    tag: str | None = None  # of the call of `batches submit` that created it

    @property
    def is_terminal(self) -> bool:
        return self.state in TERMINAL_STATES

    @property
    def results(self) -> int | None:
        """Results that Gemini says there are: succeeded and failed requests, or all where it counts neither."""
        return self.stats.succeeded + self.stats.failed or self.requests

    @property
    def has_output(self) -> bool:
        return self.result_file is not None or self.inlined is not None


class _Status(msgspec.Struct):
    code: int | None = None
    message: str | None = None


class _InlinedResponses(msgspec.Struct, rename="camel"):
    inlined_responses: list[msgspec.Raw] = []


class _Output(msgspec.Struct, rename="camel"):
    responses_file: str | None = None
    inlined_responses: _InlinedResponses | None = None


class _Stats(msgspec.Struct, rename="camel"):
    request_count: str | int | None = None
    successful_request_count: str | int | None = None
    failed_request_count: str | int | None = None
    pending_request_count: str | int | None = None


class _InputConfig(msgspec.Struct, rename="camel"):
    file_name: str | None = None


class _Metadata(msgspec.Struct, rename="camel"):
    state: str = ""
    display_name: str | None = None
    model: str | None = None
    create_time: str | None = None
    end_time: str | None = None
    batch_stats: _Stats | None = None
    input_config: _InputConfig | None = None
    output: _Output | None = None
    error: _Status | None = None


class _Operation(msgspec.Struct):
    name: str = ""
    metadata: _Metadata | None = None
    response: _Output | None = None
    error: _Status | None = None


class _Page(msgspec.Struct, rename="camel"):
    operations: list[_Operation] = []
    next_page_token: str = ""


def _compact(row: msgspec.Raw) -> bytes:
    """A row on one line: the API prints with indentation. Only white space between tokens changes."""
    return msgspec.json.format(bytes(row), indent=-1)


def _count(text: str | int | None) -> int | None:
    return int(text) if text is not None and str(text).isdecimal() else None


def _read_stats(stats: _Stats) -> Stats:
    succeeded, failed = _count(stats.successful_request_count), _count(stats.failed_request_count)
    return Stats(succeeded or 0, failed or 0, _count(stats.pending_request_count) or 0)


def _read_operation(operation: _Operation) -> Batch:
    metadata = operation.metadata or _Metadata()
    outputs = [output for output in (metadata.output, operation.response) if output]
    file = next((output.responses_file for output in outputs if output.responses_file), None)
    if file is not None and not FILE_NAME.fullmatch(file):
        raise GeminiError(f"{operation.name} names a result file that is no file name; nothing was fetched")
    inlined = next((output.inlined_responses for output in outputs if output.inlined_responses is not None), None)
    error, stats = operation.error or metadata.error, metadata.batch_stats or _Stats()
    display_name, tag = split_tag(metadata.display_name)
    return Batch(
        name=operation.name,
        state=metadata.state.rpartition("STATE_")[2] or "UNSPECIFIED",
        display_name=display_name,
        model=metadata.model,
        created=metadata.create_time,
        ended=metadata.end_time,
        requests=_count(stats.request_count),
        stats=_read_stats(stats),
        input_file=metadata.input_config.file_name if metadata.input_config else None,
        result_file=file,
        inlined=None if inlined is None else tuple(_compact(row) for row in inlined.inlined_responses),
        error_code=error.code if error else None,
        error_message=error.message if error else None,
        tag=tag,
    )


class Gemini:
    """One project's batches. Use as a context manager, from one thread."""

    def __init__(self, base_url: str, api_key: str, api_version: str = "v1beta") -> None:
        self.transport = Transport(base_url, api_key, api_version)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.transport.__exit__(kind, error, trace)

    @contextmanager
    def stream_file(self, name: str, headers: Mapping[str, str], trace: Trace) -> Iterator[httpx.Response]:
        """The open download of a result file (`files/…`); status and body are the caller's to read.

        `trace` is httpx's extension of that name: it is told of the connection while it comes about.
        """
        url = f"{self.transport.root}/{quote(name)}:download?alt=media"
        with self.transport.stream(url, headers, name, trace) as response:
            yield response

    def get_batch(self, name: str) -> Batch:
        """One batch (`batches/<id>`), with its inlined responses. Raises NotFoundError or GeminiError."""
        path = require_batch_name(name)
        batch = _read_operation(decode(self.transport.get(path, name), _Operation, name))
        said = batch.error_message
        return replace(batch, name=name, error_message=said and hide_key(said, self.transport.key))

    def create_batch(self, model: str, batch: Mapping[str, object], *, embeddings: bool = False) -> Batch:
        """Create a batch of the API's form. There is no key that makes a second call harmless: it makes a second batch.

        Raises GeminiError; unless it `is_certain`, nobody knows whether Gemini created it.
        """
        call = "asyncBatchEmbedContent" if embeddings else "batchGenerateContent"
        name = full_model_name(model)
        what = f"a batch for {name}"
        answer = self.transport.send("POST", f"{quote(name)}:{call}", what, {"batch": batch})
        created = _read_operation(decode(answer, _Operation, what))
        if not BATCH_NAME.fullmatch(created.name):
            said = hide_key(created.error_message or "no name of a batch", self.transport.key)
            raise GeminiError(f"Gemini's answer on {what} names none: {said}")
        return created

    def cancel_batch(self, name: str) -> None:
        """Ask Gemini to stop a batch; what was answered so far may still come."""
        self.transport.send("POST", f"{require_batch_name(name)}:cancel", name)

    def delete_batch(self, name: str) -> None:
        """Take a batch out of Gemini's lists."""
        self.transport.send("DELETE", require_batch_name(name), name)

    def list_batches(self) -> Iterator[Batch]:
        """Every batch of the project, newest first, page by page; inlined responses may be left out."""
        token, seen = "", set[str]()
        while True:
            query = f"batches?pageSize={PAGE_SIZE}" + (f"&pageToken={quote(token, safe='')}" if token else "")
            page = decode(self.transport.get(query, "the list of batches"), _Page, "the list of batches")
            yield from (_read_operation(operation) for operation in page.operations)
            token = page.next_page_token
            if not token:
                return
            if token in seen:
                raise GeminiError("Gemini's list of batches goes in circles", retryable=True)
            seen.add(token)


def require_batch_name(name: str) -> str:
    """The name, if it is one: it becomes part of a path. Raises GeminiError."""
    if not BATCH_NAME.fullmatch(name):
        raise GeminiError(f"{name!r} is no batch name: expected batches/<id>")
    return name
