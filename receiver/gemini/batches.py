"""The calls of Gemini's Batch API, and the download of result files: see https://ai.google.dev/api/batch-api."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self
from urllib.parse import quote

import httpx
import msgspec

from receiver.batch_names import GEMINI_NAME
from receiver.errors import AnswerTooLargeError, GeminiError
from receiver.gemini.models import full_model_name
from receiver.gemini.operations import Batch, Unread, read_batch, read_listed
from receiver.gemini.transport import (
    MAX_REFUSAL_BYTES,
    Trace,
    Transport,
    decode,
    hide_key,
    read_file_error,
)

PAGE_SIZE = 100


def _ignore(_event: str, _about: Mapping[str, object]) -> None:
    """A trace that nobody reads: with it a download gets a connection of its own, which may be left half read."""


class _Page(msgspec.Struct, rename="camel"):
    operations: list[msgspec.Raw] = []
    next_page_token: str = ""


class Gemini:
    """One project's batches. Use as a context manager, from one thread."""

    def __init__(self, base_url: str, api_key: str, api_version: str = "v1beta") -> None:
        self.transport = Transport(base_url, api_key, api_version)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.transport.__exit__(kind, error, trace)

    @contextmanager
    def stream_file(
        self, name: str, headers: Mapping[str, str], trace: Trace
    ) -> Iterator[httpx.Response]:
        """The open download of a result file (`files/…`); status and body are the caller's to read.

        `trace` is httpx's extension of that name: it is told of the connection while it comes about.
        """
        url = f"{self.transport.root}/{quote(name)}:download?alt=media"
        with self.transport.stream(url, headers, name, trace) as response:
            yield response

    def get_batch(self, name: str) -> Batch:
        """One batch (`batches/<id>`), with its inlined responses.

        Raises NotFoundError, UnreadableBatchError where it alone can't be read, or another GeminiError.
        """
        path = require_batch_name(name)
        batch = read_batch(decode(self.transport.get(path, name), msgspec.Raw, name), name)
        said = batch.error_message
        return replace(batch, name=name, error_message=said and hide_key(said, self.transport.key))

    def gives_results(self, batch: Batch) -> bool | None:
        """Whether Gemini gives the results of a batch that has ended; None where it can't be asked right now."""
        try:
            if batch.result_file is None:
                return not self.get_batch(batch.name).lacks_output
            with self.stream_file(batch.result_file, {}, _ignore) as response:
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
        """Create a batch of the API's form. There is no key that makes a second call harmless: it makes a second batch.

        Raises GeminiError; unless it `is_certain`, nobody knows whether Gemini created it.
        """
        call = "asyncBatchEmbedContent" if embeddings else "batchGenerateContent"
        name = full_model_name(model)
        what = f"a batch for {name}"
        answer = self.transport.send("POST", f"{quote(name)}:{call}", what, {"batch": batch})
        created = read_batch(decode(answer, msgspec.Raw, what), what)
        if not GEMINI_NAME.fullmatch(created.name):
            said = hide_key(created.error_message or "no name of a batch", self.transport.key)
            raise GeminiError(f"Gemini's answer on {what} names none: {said}")
        return created

    def cancel_batch(self, name: str) -> None:
        """Ask Gemini to stop a batch; what was answered so far may still come."""
        self.transport.send("POST", f"{require_batch_name(name)}:cancel", name)

    def delete_batch(self, name: str) -> None:
        """Take a batch out of Gemini's lists."""
        self.transport.send("DELETE", require_batch_name(name), name)

    def list_batches(self) -> Iterator[Batch | Unread]:
        """Every batch of the project, newest first, page by page, without inlined responses.

        One that can't be read takes no other with it.
        """
        token, seen, size = "", set[str](), PAGE_SIZE
        while True:
            page, size = self._list_page(token, size)
            yield from (read_listed(operation) for operation in page.operations)
            token = page.next_page_token
            if not token:
                return
            if token in seen:
                raise GeminiError("Gemini's list of batches goes in circles", retryable=True)
            seen.add(token)

    def _list_page(self, token: str, size: int) -> tuple[_Page, int]:
        """A page of at most so many batches, of fewer where inlined responses make it too large; and how many."""
        query = f"&pageToken={quote(token, safe='')}" if token else ""
        while True:
            try:
                body = self.transport.get(f"batches?pageSize={size}{query}", "the list of batches")
            except AnswerTooLargeError:
                if size == 1:
                    raise
                size = max(1, size // 4)
            else:
                return decode(body, _Page, "the list of batches"), size


def require_batch_name(name: str) -> str:
    """The name, if it is one: it becomes part of a path. Raises GeminiError."""
    if not GEMINI_NAME.fullmatch(name):
        raise GeminiError(f"{name!r} is no batch name: expected batches/<id>")
    return name
