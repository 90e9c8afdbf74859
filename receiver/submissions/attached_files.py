"""Files that requests name by their content, and the addresses that Gemini gives them.

Gemini forgets an uploaded file after 48 hours, and a submission may live longer. So a stored
request names a file by its hash (`"file_uri":"sha256:<hex>"`), the storage has its content in
`_files/`, and whoever sends the request uploads what Gemini does not have any more.
"""

import re
import time
from collections.abc import Callable
from datetime import datetime
from gzip import GzipFile
from hashlib import file_digest, sha256
from pathlib import Path

import msgspec

from receiver.errors import GeminiError, NotFoundError, SubmissionError
from receiver.gemini.files import File, Files
from receiver.gemini.transport import Transport
from receiver.outputs.name_codec import encode_component
from receiver.storage import Storage
from receiver.submissions.part_copy import GZIP_LEVEL, PartCopy
from receiver.submissions.submission import SubmissionSpec
from receiver.tolerant_json import tolerant_reader

SCHEME = "sha256:"
FOLDER = "_files"
# In a JSON string, quotes are escaped: so no text that somebody wrote can look like this.
NAMED = re.compile(
    rb'"file_uri":"sha256:(?P<sha256>[0-9a-f]{64})"|'
    rb'"mime_type":"(?P<mime_type>[^"\\]{1,100})",(?="file_uri":"sha256:[0-9a-f]{64}")'
)
NEEDED_S = 30 * 3600.0  # that a file must live on: a batch may wait for a day
DEFAULT_MIME_TYPE = "application/octet-stream"


class UploadedFile(msgspec.Struct, frozen=True):
    """The record of an upload."""

    name: str  # "files/<id>"
    uri: str


_read_uploaded = tolerant_reader(UploadedFile)


def attachment_name(digest: str) -> str:
    """The object of a file's content; `digest` is its sha256 in hex."""
    return f"{FOLDER}/{digest}"


class AttachedFiles:
    """The attached files of a project's requests. Raises GeminiError, StorageError and what `check`
    raises, and SubmissionError where the storage does not have a file.
    """

    def __init__(
        self, files: Files, storage: Storage, project: str, check: Callable[[], None]
    ) -> None:
        """`project` is empty for the default one; `check` is called while bytes are uploaded."""
        self._files, self._storage, self._check = files, storage, check
        self._project = encode_component(project) if project else "default"
        self._known: dict[str, str] = {}  # addresses by sha256

    def complete(self, content: PartCopy, scratch: Path) -> PartCopy:
        """The same requests with addresses that Gemini knows, as a part of other bytes."""
        path, digest, size = scratch / "completed", sha256(), 0
        with (
            content.open() as lines,
            path.open("wb") as file,
            GzipFile("", "wb", GZIP_LEVEL, file, mtime=0) as packed,
        ):
            for line in lines:
                sent = self.complete_request(line, scratch)
                packed.write(sent)
                digest.update(sent)
                size += len(sent)
        part = msgspec.structs.replace(
            content.part, sha256=digest.hexdigest(), size_bytes=size, offset=0
        )
        return PartCopy(part, path)

    def complete_request(self, line: bytes, scratch: Path) -> bytes:
        """One request with addresses that Gemini knows."""
        mime_type = DEFAULT_MIME_TYPE

        def put_address(match: re.Match[bytes]) -> bytes:
            nonlocal mime_type
            if match["sha256"] is None:  # it stands before the address
                mime_type = match["mime_type"].decode()
                return match[0]
            address = self._address(match["sha256"].decode(), mime_type, scratch)
            return b'"file_uri":' + msgspec.json.encode(address)

        return NAMED.sub(put_address, line)

    def _address(self, digest: str, mime_type: str, scratch: Path) -> str:
        address = self._known.get(digest)
        if address is None:
            address = self._known[digest] = self._find(digest) or self._upload(
                digest, mime_type, scratch
            )
        return address

    def _record(self, digest: str) -> str:
        return f"{attachment_name(digest)}.{self._project}.json"

    def _find(self, digest: str) -> str | None:
        """The address of an earlier upload that lives for long enough."""
        data = self._storage.read(self._record(digest))
        if data is None:
            return None
        try:
            uploaded = _read_uploaded(data)
            file = self._files.get(uploaded.name)
        except (ValueError, NotFoundError):  # msgspec's errors are ValueErrors
            return None
        except GeminiError as error:
            if error.status in (400, 403):  # it has expired
                return None
            raise
        return uploaded.uri if _lives_on(file) else None

    def _upload(self, digest: str, mime_type: str, scratch: Path) -> str:
        path = scratch / "attached"
        name = attachment_name(digest)
        if not self._storage.read_to_file(name, path):
            raise SubmissionError(
                f"{name} is not in the storage: submit the same table again, which stores it and"
                " sends nothing twice"
            )
        with path.open("rb") as data:
            if file_digest(data, "sha256").hexdigest() != digest:
                raise SubmissionError(
                    f"{name} does not hold what was submitted: delete it and submit the same table"
                    " again, which sends nothing twice"
                )
            size = data.tell()
            data.seek(0)
            file = self._files.upload(data, size, digest, lambda _: self._check(), mime_type)
        if file.uri is None:
            raise GeminiError(f"Gemini gave no address for the uploaded file {file.name}")
        record = msgspec.json.encode(UploadedFile(file.name, file.uri))
        self._storage.put_many([(self._record(digest), record)])
        return file.uri


def complete_part(  # noqa: PLR0913, PLR0917 - whose requests they are, and what sending takes
    transport: Transport,
    storage: Storage,
    spec: SubmissionSpec,
    content: PartCopy,
    scratch: Path,
    check: Callable[[], None],
) -> PartCopy:
    """What is sent of a part: requests that attach files get the addresses of these at Gemini.

    Raises what `AttachedFiles` does.
    """
    if not spec.attaches_files:
        return content
    return AttachedFiles(Files(transport), storage, spec.project, check).complete(content, scratch)


def _lives_on(file: File) -> bool:
    if file.state == "FAILED" or file.expires is None:
        return False
    try:
        expires = datetime.fromisoformat(file.expires)
    except ValueError:
        return False
    return expires.timestamp() - time.time() > NEEDED_S
