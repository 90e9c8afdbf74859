"""Gemini's Files API: resumable uploads of inputs, reading and deleting of files.

The protocol is described in https://ai.google.dev/api/files. The bytes go to an upload URL that the
API names, without the API key.
"""

import base64
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from gzip import GzipFile
from typing import IO

import msgspec

from receiver.errors import GeminiError
from receiver.gemini.refusals import said_under_200
from receiver.gemini.transport import Transport, decode
from receiver.http import httpx

JSON_LINES = "application/jsonl"
CHUNK_BYTES = 8 * 1024 * 1024  # a multiple of the 256 KiB that the API asks for
MAX_TRIES = 5  # in a row without progress
FIRST_WAIT_S = 1.0
HEX_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
FILE_NAME = re.compile(r"files/[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")


@dataclass(frozen=True)
class File:
    """A file of the project at Gemini, which keeps it for 48 hours."""

    name: str  # "files/<id>"
    display_name: str | None
    size_bytes: int | None
    state: str  # PROCESSING, ACTIVE or FAILED
    source: str  # UPLOADED, GENERATED or REGISTERED
    created: str | None  # RFC 3339
    expires: str | None
    sha256: str | None = None  # hex; None where the API does not say
    uri: str | None = None  # what a request names it by


class _File(msgspec.Struct, rename="camel"):
    name: str
    display_name: str | None = None
    size_bytes: str | int | None = None
    state: str = "ACTIVE"
    source: str = ""
    create_time: str | None = None
    expiration_time: str | None = None
    sha256_hash: str | None = None
    uri: str | None = None


class _Uploaded(msgspec.Struct):
    file: _File


def _read_file(file: _File) -> File:
    text = str(file.size_bytes)
    size = int(text) if text.isdecimal() else None
    return File(
        name=file.name,
        display_name=file.display_name,
        size_bytes=size,
        state=file.state,
        source=file.source,
        created=file.create_time,
        expires=file.expiration_time,
        sha256=_read_hash(file.sha256_hash or ""),
        uri=file.uri,
    )


def _read_hash(text: str) -> str | None:
    """The hash in hex, of which the API gives the base64; None in any other form."""
    try:
        digits = base64.b64decode(text, validate=True).decode("ascii")
    except ValueError:
        return None
    return digits.lower() if HEX_SHA256.fullmatch(digits) else None


class Files:
    """One project's files. Every call raises GeminiError."""

    def __init__(self, transport: Transport, first_wait_s: float = FIRST_WAIT_S) -> None:
        """`first_wait_s`: before a broken upload is resumed; each further wait doubles."""
        self._transport, self._first_wait_s = transport, first_wait_s

    def upload(
        self,
        data: IO[bytes] | GzipFile,
        size_bytes: int,
        display_name: str,
        on_progress: Callable[[int], None] = lambda _: None,
        mime_type: str = JSON_LINES,
    ) -> File:
        """Upload a seekable file, and resume where the connection breaks.

        `on_progress` gets the number of bytes that have arrived.
        """
        url = self._begin(size_bytes, display_name, mime_type)
        upload = _Upload(self._transport, url, display_name, self._first_wait_s)
        offset = failures = 0

        while failures < MAX_TRIES:
            data.seek(offset)
            chunk = data.read(min(CHUNK_BYTES, size_bytes - offset))
            is_last = offset + len(chunk) >= size_bytes
            finished = upload.send(chunk, offset, is_last=is_last)
            if finished is not None:
                on_progress(size_bytes)
                return finished
            failures = failures + 1 if upload.received == offset else 0
            offset = offset + len(chunk) if upload.received is None else upload.received
            on_progress(offset)

        raise GeminiError(f"{upload.what} made no progress in {MAX_TRIES} tries", retryable=True)

    def _begin(self, size_bytes: int, display_name: str, mime_type: str) -> str:
        """Start an upload. Gives the URL for its bytes."""
        headers = {
            "x-goog-upload-protocol": "resumable",
            "x-goog-upload-command": "start",
            "x-goog-upload-header-content-length": str(size_bytes),
            "x-goog-upload-header-content-type": mime_type,
        }
        about = {
            "display_name": display_name,
            "mime_type": mime_type,
            "size_bytes": size_bytes,
        }
        url = f"{self._transport.base_url}/upload/{self._transport.api_version}/files"
        what = f"the upload of {display_name}"
        answer = self._transport.send_bytes(
            "POST", url, what, msgspec.json.encode({"file": about}), headers
        )
        upload_url: str = answer.headers.get("x-goog-upload-url", "")
        is_ours = self._transport.is_ours(httpx.URL(upload_url))
        if not upload_url.startswith("https://") and not is_ours:
            said = said_under_200(answer.content, self._transport.key)
            raise GeminiError(
                f"Gemini named no address over https for {what}{said and f' ({said})'}",
                retryable=True,
            )
        return upload_url

    def get(self, name: str) -> File:
        """One uploaded file. The API takes no names of result files, which are too long for it."""
        return _read_file(decode(self._transport.get(_path(name), name), _File, name))

    def delete(self, name: str) -> None:
        """Delete a file. The results of its batch stay."""
        self._transport.send("DELETE", _path(name), name)


def _path(name: str) -> str:
    if not FILE_NAME.fullmatch(name):
        raise GeminiError(f"{name!r} is no name of an uploaded file: expected files/<id>")
    return name


class _Upload:
    """One upload in chunks, whose state the API keeps."""

    def __init__(
        self, transport: Transport, url: str, display_name: str, first_wait_s: float
    ) -> None:
        self._transport = transport
        self._url = url
        self._first_wait_s = first_wait_s
        self.what = f"the upload of {display_name}"
        self.received: int | None = None  # bytes at the API, if it had to be asked

    def send(self, chunk: bytes, offset: int, *, is_last: bool) -> File | None:
        """Send a chunk. Gives the file once it is complete.

        After an error, `received` says from where the caller has to go on.
        """
        self.received = None
        command = "upload, finalize" if is_last else "upload"
        headers = {"x-goog-upload-command": command, "x-goog-upload-offset": str(offset)}
        try:
            answer = self._transport.send_keyless(self._url, self.what, chunk, headers)
        except GeminiError as error:
            if not error.retryable:
                raise
            return self._recover(error)
        return self._finished(answer)

    def _recover(self, error: GeminiError) -> File | None:
        for attempt in range(MAX_TRIES):
            time.sleep(error.retry_after_s or self._first_wait_s * 2**attempt)
            try:
                answer = self._transport.send_keyless(
                    self._url, self.what, b"", {"x-goog-upload-command": "query"}
                )
            except GeminiError as again:
                if not again.retryable:
                    raise
                error = again
                continue

            received = answer.headers.get("x-goog-upload-size-received", "")
            if received.isdecimal():
                self.received = int(received)
            elif answer.headers.get("x-goog-upload-status") != "final":
                raise GeminiError(
                    f"Gemini does not say how far {self.what} is; submit again", retryable=True
                )
            return self._finished(answer)
        raise error

    def _finished(self, answer: httpx.Response) -> File | None:
        status = answer.headers.get("x-goog-upload-status", "")
        said = said_under_200(answer.content, self._transport.key)
        if said or status not in ("final", "active"):
            why = said or (f"its status is {status[:40]!r}" if status else "no status")
            raise GeminiError(f"Gemini ended {self.what} without a file ({why})", retryable=True)
        if status == "active":
            return None
        return _read_file(decode(answer.content, _Uploaded, self.what).file)
