"""Gemini's Files API: inputs on their way up, and what they leave behind.

The protocol is described in https://ai.google.dev/api/files; the bytes go to an address that the API names,
without the key.
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
from receiver.gemini.transport import Transport, decode, said_under_200
from receiver.http import httpx

CHUNK_BYTES = 8 * 1024 * 1024  # a multiple of the 256 KiB that the API asks for
TRIES = 5  # of one chunk, each from where the API stands
FIRST_WAIT_S = 1.0
HEX_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
FILE_NAME = re.compile(r"files/[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")


@dataclass(frozen=True)
class File:
    """A file that the project keeps at Gemini, for 48 hours."""

    name: str  # "files/<id>"
    display_name: str | None
    size_bytes: int | None
    state: str  # PROCESSING, ACTIVE or FAILED
    source: str  # UPLOADED, GENERATED or REGISTERED
    created: str | None  # RFC 3339
    expires: str | None
    sha256: str | None = None  # hex, as far as the API says


class _File(msgspec.Struct, rename="camel"):
    name: str
    display_name: str | None = None
    size_bytes: str | int | None = None
    state: str = "ACTIVE"
    source: str = ""
    create_time: str | None = None
    expiration_time: str | None = None
    sha256_hash: str | None = None


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
    )


def _read_hash(text: str) -> str | None:
    """The API gives the base64 of the hex digits; where that ever changes, it says nothing to us."""
    try:
        digits = base64.b64decode(text, validate=True).decode("ascii")
    except ValueError:
        return None
    return digits.lower() if HEX_SHA256.fullmatch(digits) else None


class Files:
    """One project's files. Every call raises GeminiError."""

    def __init__(self, transport: Transport, first_wait_s: float = FIRST_WAIT_S) -> None:
        """`first_wait_s`: seconds before a broken upload is taken up again; each further wait doubles."""
        self._transport, self._first_wait_s = transport, first_wait_s

    def upload(
        self,
        data: IO[bytes] | GzipFile,
        size_bytes: int,
        display_name: str,
        progress: Callable[[int], None] = lambda _: None,
    ) -> File:
        """Send so many bytes of a seekable file of JSON lines.

        Goes on where the connection broke; `progress` hears how many bytes have arrived.
        """
        url = self._begin(size_bytes, display_name)
        upload = _Upload(self._transport, url, display_name, self._first_wait_s)
        offset = faults = 0
        while faults < TRIES:
            data.seek(offset)
            chunk = data.read(min(CHUNK_BYTES, size_bytes - offset))
            is_last = offset + len(chunk) >= size_bytes
            finished = upload.send(chunk, offset, is_last=is_last)
            if finished is not None:
                progress(size_bytes)
                return finished
            faults = faults + 1 if upload.received == offset else 0
            offset = offset + len(chunk) if upload.received is None else upload.received
            progress(offset)
        raise GeminiError(f"{upload.what} came no further in {TRIES} tries", retryable=True)

    def _begin(self, size_bytes: int, display_name: str) -> str:
        """Announce an upload. Gives the address for its bytes."""
        headers = {
            "x-goog-upload-protocol": "resumable",
            "x-goog-upload-command": "start",
            "x-goog-upload-header-content-length": str(size_bytes),
            "x-goog-upload-header-content-type": "application/jsonl",
        }
        about = {
            "display_name": display_name,
            "mime_type": "application/jsonl",
            "size_bytes": size_bytes,
        }
        url = f"{self._transport.base_url}/upload/{self._transport.api_version}/files"
        what = f"the upload of {display_name}"
        answer = self._transport.send_bytes(
            "POST", url, what, msgspec.json.encode({"file": about}), headers
        )
        address: str = answer.headers.get("x-goog-upload-url", "")
        if not address.startswith("https://") and not self._transport.is_ours(httpx.URL(address)):
            said = said_under_200(answer.content, self._transport.key)
            raise GeminiError(
                f"Gemini named no address over https for {what}{said and f' ({said})'}"
            )
        return address

    def get(self, name: str) -> File:
        """One file. Files that a batch made can't be asked for: their names are too long for the API."""
        return _read_file(decode(self._transport.get(_path(name), name), _File, name))

    def delete(self, name: str) -> None:
        """Remove a file; what a batch made of it stays."""
        self._transport.send("DELETE", _path(name), name)


def _path(name: str) -> str:
    if not FILE_NAME.fullmatch(name):
        raise GeminiError(f"{name!r} is no name of an uploaded file: expected files/<id>")
    return name


class _Upload:
    """The bytes of one upload, which its address remembers."""

    def __init__(
        self, transport: Transport, url: str, display_name: str, first_wait_s: float
    ) -> None:
        self._transport, self._url, self.what = transport, url, f"the upload of {display_name}"
        self._first_wait_s = first_wait_s
        self.received: int | None = None  # what the API has, where it had to be asked

    def send(self, chunk: bytes, offset: int, *, is_last: bool) -> File | None:
        """Send a chunk; after a fault, ask how far the API is and let the caller go on from there.

        Gives the file once it is whole.
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
        for attempt in range(TRIES):
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
            raise GeminiError(f"Gemini ended {self.what} without a file ({why})")
        return (
            _read_file(decode(answer.content, _Uploaded, self.what).file)
            if status == "final"
            else None
        )
