"""The resumable upload protocol: a start request, then requests with bytes, the last finalizes."""

import asyncio
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from deploy.sandbox.config import SandboxConfig
from deploy.sandbox.faults.faults import Faults
from deploy.sandbox.google_api import (
    HEADERS,
    ApiError,
    Json,
    json_answer,
    new_id,
    now_ns,
    pick,
    read_object,
)
from deploy.sandbox.ledger import Ledger, StoredFile

FILE_LIMIT_BYTES = 2 * 1024**3
CHOSEN_NAME = re.compile(r"files/([a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?)")
HASH_BLOCK_BYTES = 1 << 20


@dataclass
class Upload:
    file_id: str
    path: Path
    mime_type: str
    display_name: str | None
    declared_bytes: int | None
    received_bytes: int = 0
    finished: Json | None = (
        None  # the answer of a finalize, for a client that lost it and asks again
    )


class Uploads:
    def __init__(self, config: SandboxConfig, ledger: Ledger, faults: Faults) -> None:
        self._config = config
        self._ledger = ledger
        self._faults = faults
        self._open: dict[str, Upload] = {}

    async def handle(self, request: Request) -> Response:
        """Start and byte requests share a path. Only the latter have `upload_id`, and no key."""
        self._faults.raise_status("upload_status")
        upload_id = request.query_params.get("upload_id")
        if upload_id is None:
            return await self._start(request)
        upload = self._open.get(upload_id)
        if upload is None:
            raise ApiError(404, "No upload is open under this URL: start a new one.")
        return await self._receive(request, upload)

    async def _start(self, request: Request) -> Response:
        if request.headers.get("x-goog-upload-protocol") != "resumable":
            raise ApiError(
                400, "Only resumable uploads are offered: send x-goog-upload-protocol: resumable."
            )
        if request.headers.get("x-goog-upload-command") != "start":
            raise ApiError(
                400, "The first request of an upload needs x-goog-upload-command: start."
            )
        meta = pick(await read_object(request), "file") or {}
        declared = request.headers.get("x-goog-upload-header-content-length") or pick(
            meta, "sizeBytes"
        )
        size = _size_of(declared)
        file_id = self._free_id(pick(meta, "name"))
        mime_type = pick(meta, "mimeType") or request.headers.get(
            "x-goog-upload-header-content-type"
        )
        upload = Upload(
            file_id=file_id,
            path=self._config.folder / f"upload-{file_id}",
            mime_type=mime_type or "application/octet-stream",
            display_name=pick(meta, "displayName"),
            declared_bytes=size,
        )
        upload.path.touch()
        upload_id = new_id()
        self._open[upload_id] = upload
        url = request.url.replace(query=f"upload_id={upload_id}&upload_protocol=resumable")
        return _status(
            "active", {"x-goog-upload-url": str(url), "x-goog-upload-chunk-granularity": "262144"}
        )

    def _free_id(self, name: str | None) -> str:
        if not name:
            return new_id(12)
        match = CHOSEN_NAME.fullmatch(name if name.startswith("files/") else f"files/{name}")
        if match is None:
            raise ApiError(
                400,
                f"{name} is not a file name: up to 40 lowercase letters, digits and inner dashes.",
            )
        if match[1] in self._ledger.files:
            raise ApiError(409, f"Requested entity {name} already exists.")
        return match[1]

    async def _receive(self, request: Request, upload: Upload) -> Response:
        command = request.headers.get("x-goog-upload-command", "")
        if upload.finished is not None:
            return json_answer(upload.finished, headers={"x-goog-upload-status": "final"})
        if "query" in command:
            return _status("active", {"x-goog-upload-size-received": str(upload.received_bytes)})
        if "upload" in command:
            await _write_bytes(request, upload)
        if "finalize" not in command:
            return _status("active")
        if self._faults.take("refuse_uploads"):
            refusal = {
                "code": 400,
                "message": "The sandbox was told to refuse the file.",
                "status": "INVALID_ARGUMENT",
            }
            return json_answer({"error": refusal}, headers={"x-goog-upload-status": "final"})
        upload.finished = {"file": (await self._finalize(upload)).resource(version_url(request))}
        return json_answer(upload.finished, headers={"x-goog-upload-status": "final"})

    async def _finalize(self, upload: Upload) -> StoredFile:
        if upload.declared_bytes is not None and upload.declared_bytes != upload.received_bytes:
            raise ApiError(
                400,
                f"The upload was announced with {upload.declared_bytes} bytes and finalized with "
                f"{upload.received_bytes}.",
                headers={"x-goog-upload-status": "active"},
            )
        sha256, line_count = await asyncio.to_thread(_hash_and_count, upload.path)
        created_ns = now_ns()
        stored = StoredFile(
            number=self._ledger.next_number(),
            id=upload.file_id,
            path=upload.path,
            mime_type=upload.mime_type,
            display_name=upload.display_name,
            size_bytes=upload.received_bytes,
            line_count=line_count,
            sha256=sha256,
            created_ns=created_ns,
            expires_ns=created_ns + int(self._config.file_ttl_s * 10**9),
        )
        self._ledger.files[stored.id] = stored
        return stored


def version_url(request: Request) -> str:
    """`http://host/v1` as the client sees it, whatever the route."""
    return f"{request.base_url}{request.path_params['version']}"


def _size_of(declared: object) -> int | None:
    if declared is None:
        return None
    try:
        size = int(str(declared))
    except ValueError as error:
        raise ApiError(400, f"{declared} is not a number of bytes.") from error
    if size > FILE_LIMIT_BYTES:
        raise ApiError(400, f"A file of {size} bytes is over the limit of {FILE_LIMIT_BYTES}.")
    return size


async def _write_bytes(request: Request, upload: Upload) -> None:
    offset_text = request.headers.get("x-goog-upload-offset", "0")
    offset = int(offset_text) if offset_text.isdecimal() else -1
    if not 0 <= offset <= upload.received_bytes:
        raise ApiError(
            400,
            f"The upload stands at byte {upload.received_bytes}, not at {offset_text}.",
            headers={"x-goog-upload-status": "active"},
        )
    with upload.path.open("r+b") as file:
        file.seek(offset)
        file.truncate()
        upload.received_bytes = offset
        try:
            async for chunk in request.stream():
                file.write(chunk)
                upload.received_bytes += len(chunk)
                if upload.received_bytes > FILE_LIMIT_BYTES:
                    raise ApiError(400, f"The file is over the limit of {FILE_LIMIT_BYTES} bytes.")
        except ClientDisconnect as error:
            raise ApiError(400, "The client went away in the middle of a chunk.") from error


def _hash_and_count(path: Path) -> tuple[str, int]:
    """SHA-256 in hex, and the number of lines, including a last one without a newline."""
    digest = hashlib.sha256()
    newlines = 0
    last = b"\n"
    with path.open("rb") as file:
        while block := file.read(HASH_BLOCK_BYTES):
            digest.update(block)
            newlines += block.count(b"\n")
            last = block[-1:]
    return digest.hexdigest(), newlines + (last != b"\n")


def _status(status: str, headers: dict[str, str] | None = None) -> Response:
    return Response(headers={**HEADERS, "x-goog-upload-status": status, **(headers or {})})
