"""Gemini's Batch API and the download of result files: https://ai.google.dev/api/batch-api."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Self
from urllib.parse import quote

import msgspec

from receiver.batch_names import GEMINI_NAME
from receiver.errors import GeminiError
from receiver.gemini.models import full_model_name
from receiver.gemini.operations import Batch, Unread, read_batch, read_listed
from receiver.gemini.paging import list_items
from receiver.gemini.refusals import hide_key, read_file_error
from receiver.gemini.transport import MAX_REFUSAL_BYTES, Trace, Transport, decode
from receiver.http import httpcore, httpx

BLOCK_BYTES = 64 * 1024  # malloc maps fresh pages for anything over 128 KiB
DATE_ROUNDS_S = 0.5  # on average: the header is in whole seconds, rounded down


def ignore_trace(_event: str, _info: Mapping[str, object]) -> None:
    """A trace all the same: it gives a download its own connection, which may be left half read."""


class Gemini:
    """One project's batches. Use as a context manager, from one thread."""

    def __init__(self, base_url: str, api_key: str, api_version: str = "v1beta") -> None:
        self.transport = Transport(base_url, api_key, api_version)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *told: object) -> None:
        self.transport.__exit__(*told)

    @contextmanager
    def stream_file(
        self, name: str, headers: Mapping[str, str], trace: Trace = ignore_trace
    ) -> Iterator[httpx.Response]:
        """The response of a result file (`files/…`), whose status and body the caller reads.

        `trace` is httpx's extension of that name, called while the connection is made.
        """
        url = f"{self.transport.root}/{quote(name)}:download?alt=media"
        with self.transport.stream(url, headers, name, trace) as response:
            yield response

    def get_batch(self, name: str) -> Batch:
        """One batch (`batches/<id>`) with its inlined responses.

        Raises NotFoundError, UnreadableBatchError or another GeminiError.
        """
        path = require_batch_name(name)
        batch = read_batch(decode(self.transport.get(path, name), msgspec.Raw, name), name)
        said = batch.error_message
        return replace(batch, name=name, error_message=said and hide_key(said, self.transport.key))

    def gives_results(self, batch: Batch) -> bool | None:
        """Whether Gemini still has an ended batch's results; None if it can't be asked now."""
        try:
            if batch.result_file is None:
                return not self.get_batch(batch.name).lacks_output
            with self.stream_file(batch.result_file, {}) as response:
                if response.status_code in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
                    return True
                body = next(response.iter_raw(MAX_REFUSAL_BYTES), b"")
            refused = httpx.Response(response.status_code, content=body, request=response.request)
            raise read_file_error(refused, batch.result_file)
        except GeminiError as error:
            return False if error.fault == "refused" else None

    def create_batch(
        self, model: str, batch: Mapping[str, object], *, embeddings: bool = False
    ) -> Batch:
        """Create a batch, given in the API's form. A second call creates a second batch.

        Raises GeminiError. Unless the error `is_certain`, Gemini may have created the batch.
        """
        call = "asyncBatchEmbedContent" if embeddings else "batchGenerateContent"
        name = full_model_name(model)
        what = f"a batch for {name}"
        answer = self.transport.send("POST", f"{quote(name)}:{call}", what, {"batch": batch})
        created = read_batch(decode(answer, msgspec.Raw, what), what)
        if not GEMINI_NAME.fullmatch(created.name):
            said = hide_key(created.error_message or "no name of a batch", self.transport.key)
            raise GeminiError(f"Gemini's answer on {what} names no batch: {said}")
        return created

    def cancel_batch(self, name: str) -> None:
        """Ask Gemini to stop a batch. Results so far may still come."""
        self.transport.send("POST", f"{require_batch_name(name)}:cancel", name)

    def delete_batch(self, name: str) -> None:
        """Delete a batch at Gemini."""
        self.transport.send("DELETE", require_batch_name(name), name)

    def measure_clock_offset_s(self, clock: Callable[[], float] = time.time) -> float | None:
        """Seconds that our clock is ahead of Gemini's, to about a second; None without a date.

        One cheap call, which also shows whether Gemini takes the key. Raises GeminiError.
        """
        started = clock()
        answer = self.transport.fetch("batches?pageSize=1", "the list of batches")
        try:
            date = parsedate_to_datetime(answer.headers.get("date", ""))
        except ValueError:
            return None
        return (started + clock()) / 2 - date.timestamp() - DATE_ROUNDS_S

    def list_batches(self) -> Iterator[Batch | Unread]:
        """Every batch of the project, newest first, without inlined responses.

        One that can't be read does not hide the others.
        """
        operations = list_items(self.transport, "batches", msgspec.Raw, member="operations")
        return map(read_listed, operations)


def require_batch_name(name: str) -> str:
    """Check a name before it becomes part of a URL. Raises GeminiError."""
    if not GEMINI_NAME.fullmatch(name):
        raise GeminiError(f"{name!r} is no batch name: expected batches/<id>")
    return name


def read_body(response: httpx.Response) -> Iterator[bytes]:
    """The body as it was sent, in blocks of at most 64 KiB, each as soon as it arrives.

    A body of known length comes straight from the connection, which must be closed afterwards: the
    parser copies every byte three times. Raises httpx.TransportError, also when the body ends
    early; one without a length and without chunks ends early unnoticed.
    """
    blocks = response.iter_raw()
    if "transfer-encoding" in response.headers or "content-length" not in response.headers:
        yield from blocks
        return

    first = next(blocks, b"")  # with it comes all that was read together with the headers
    if first:
        yield first
        yield from _read_rest(response, int(response.headers["content-length"]) - len(first))


def _read_rest(response: httpx.Response, left_bytes: int) -> Iterator[bytes]:
    connection = response.extensions["network_stream"]
    timeout_s = response.request.extensions["timeout"]["read"]
    while left_bytes:
        try:
            block = connection.read(min(left_bytes, BLOCK_BYTES), timeout_s)
        except httpcore.TimeoutException as error:
            raise httpx.ReadTimeout(str(error)) from error
        except httpcore.NetworkError as error:
            raise httpx.ReadError(str(error)) from error
        if not block:
            raise httpx.RemoteProtocolError(f"the body ended {left_bytes} bytes early")
        left_bytes -= len(block)
        yield block
