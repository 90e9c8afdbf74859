"""A private copy of a part: the bytes that were checked are the ones uploaded and stored.

The user may change the input at any moment. So a part is read once, into a gzip file of our own
whose content must have the sha256 of what was checked. That file goes into the storage, and whoever
sends the part takes it from there.
"""

import gzip
import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import IO

import msgspec

from receiver.errors import SubmissionError
from receiver.storage import Storage
from receiver.submissions.records import requests_name
from receiver.submissions.submission import Part, Submission

GZIP_LEVEL = 3
COPY_BYTES = 1024 * 1024
CHANGED = "{path} has changed since it was checked"
MISSING = (
    "the requests of part {part} are not in the storage ({name}): submit the same file again, which"
    " stores them and sends nothing twice"
)
DAMAGED = (
    "{name} does not hold what was submitted: delete it and submit the same file again, which sends"
    " nothing twice"
)


class PartCopy:
    """A part of the input in a gzip file of ours. Create it with `copy` or `fetch`."""

    def __init__(self, part: Part, path: Path) -> None:
        self.part = part
        self.path = path

    @classmethod
    def copy(cls, source: Path, part: Part, target: Path) -> "PartCopy":
        """Read a part of the input. Raises SubmissionError where it has changed since the check."""
        digest = sha256()
        try:
            with source.open("rb") as data, target.open("wb") as file:
                data.seek(part.offset)
                with gzip.GzipFile(
                    filename="", mode="wb", fileobj=file, compresslevel=GZIP_LEVEL, mtime=0
                ) as packed:
                    for chunk in _read_chunks(data, part.size_bytes):
                        digest.update(chunk)
                        packed.write(chunk)
        except OSError as error:
            raise SubmissionError(
                f"{source} can't be copied to {target.parent}: {error.strerror}"
            ) from error
        if digest.hexdigest() != part.sha256:
            raise SubmissionError(CHANGED.format(path=source))
        return cls(part, target)

    @classmethod
    def fetch(cls, storage: Storage, part: Part, target: Path) -> "PartCopy":
        """Read a part's requests from the storage.

        Raises StorageError, and SubmissionError where they are not there or not the right ones.
        """
        name = requests_name(part.sha256)
        if not storage.read_to_file(name, target):
            raise SubmissionError(MISSING.format(part=part.number, name=name))
        copy = cls(part, target)
        digest = sha256()
        try:
            with copy.open() as data:
                for chunk in _read_chunks(data, part.size_bytes + 1):
                    digest.update(chunk)
        except (OSError, EOFError, zlib.error) as error:
            raise SubmissionError(f"{DAMAGED.format(name=name)} ({error})") from error
        if digest.hexdigest() != part.sha256:
            raise SubmissionError(DAMAGED.format(name=name))
        return copy

    def open(self) -> gzip.GzipFile:
        """The decompressed bytes, seekable."""
        return gzip.GzipFile(self.path, "rb")

    def lines(self) -> list[bytes]:
        """All requests without blank lines, split at LF alone. For small, inline parts."""
        with self.open() as data:
            return [line for line in data.read().split(b"\n") if line.strip()]


def with_hashes(submission: Submission, source: Path) -> Submission:
    """Add the hashes of the parts, which plans of earlier versions lack, from the input.

    Raises SubmissionError where the input is not the one that was planned.
    """
    whole, parts = sha256(), list[Part]()
    try:
        with source.open("rb") as data:
            for part in submission.parts:
                piece = sha256()
                for chunk in _read_chunks(data, part.size_bytes):
                    whole.update(chunk)
                    piece.update(chunk)
                parts.append(msgspec.structs.replace(part, sha256=piece.hexdigest()))
    except OSError as error:
        raise SubmissionError(f"{source} can't be read: {error.strerror}") from error
    if whole.hexdigest() != submission.spec.sha256:
        raise SubmissionError(CHANGED.format(path=source))
    return msgspec.structs.replace(submission, parts=tuple(parts))


def _read_chunks(data: IO[bytes] | gzip.GzipFile, size_bytes: int) -> Iterator[bytes]:
    """The next `size_bytes` bytes in chunks; fewer where the file ends before."""
    while size_bytes > 0 and (chunk := data.read(min(COPY_BYTES, size_bytes))):
        size_bytes -= len(chunk)
        yield chunk
