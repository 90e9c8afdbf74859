"""Files that rows name: kept in the storage by their content, so that each is uploaded once.

`receiver.submissions.attached_files` says how a request names one.
"""

import hashlib
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from receiver.errors import RowsError
from receiver.outputs.manifest import Record
from receiver.rows.keeping import keep_file
from receiver.storage import Storage
from receiver.submissions.attached_files import SCHEME, attachment_name

MAX_FILE_BYTES = 2_000_000_000  # the API's "2 GB", read as decimal
MIME_TYPES: Mapping[str, str] = {  # what the standard library may not know
    ".webp": "image/webp",
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".md": "text/markdown",
    ".flac": "audio/flac",
    ".opus": "audio/ogg",
}
ADDRESSES = frozenset({"gs", "https", "http"})


class Attachments:
    """Turns cells into parts of requests. Call `part` for each cell, then `keep`."""

    def __init__(self, folder: Path) -> None:
        """`folder` is where relative paths begin: that of the table."""
        self._folder = folder
        self._known: dict[str, dict[str, Any]] = {}  # part by cell
        self.files: dict[str, Path] = {}  # by sha256

    def part(self, cell: str) -> dict[str, Any]:
        """The part for a path or a URI. Raises RowsError."""
        found = self._known.get(cell)
        if found is None:
            scheme = urlsplit(cell).scheme.lower()
            found = _address_part(cell) if scheme in ADDRESSES else self._file_part(cell)
            self._known[cell] = found
        return found

    def _file_part(self, cell: str) -> dict[str, Any]:
        path = self._folder / cell
        try:
            size = path.stat().st_size
            with path.open("rb") as data:
                sha256 = hashlib.file_digest(data, "sha256").hexdigest()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            why = getattr(error, "strerror", None) or error
            raise RowsError(f"{cell!r} can't be read: {why}") from error
        if not 0 < size <= MAX_FILE_BYTES:
            raise RowsError(f"{cell!r} has {size:,} bytes; a file has 1 to {MAX_FILE_BYTES:,}")
        self.files.setdefault(sha256, path)
        return {"file_data": {"mime_type": _mime_type(cell), "file_uri": SCHEME + sha256}}

    def keep(self, storage: Storage) -> None:
        """Store every file that the storage does not have. Raises StorageError."""
        for sha256, path in self.files.items():
            keep_file(storage, Record(attachment_name(sha256), sha256), path)


def _address_part(address: str) -> dict[str, Any]:
    return {"file_data": {"mime_type": _mime_type(urlsplit(address).path), "file_uri": address}}


def _mime_type(name: str) -> str:
    ending = Path(name).suffix.lower()
    found = MIME_TYPES.get(ending) or mimetypes.types_map.get(ending)
    if found is None:
        raise RowsError(
            f"{name!r} has no ending that says what it is: name it like photo.jpg or talk.mp3"
        )
    return found
