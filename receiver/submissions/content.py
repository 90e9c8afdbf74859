"""One content of a part from here on: what was checked is what is uploaded and what is kept.

The input belongs to the user, who may write to it at any moment. So a part is read from it once, into a packed copy of
our own that must have the sha256 of what was checked; the upload and the storage get the bytes of that copy.
"""

import gzip
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import IO

import msgspec

from receiver.errors import SubmissionError
from receiver.submissions.parts import Part
from receiver.submissions.records import Submission

GZIP_LEVEL = 3
COPY_BYTES = 1024 * 1024
CHANGED = "{path} is not what it was when it was checked"


class Content:
    """A part of an input in a file of ours. Make it with `copy`."""

    def __init__(self, part: Part, path: Path) -> None:
        self.part, self.path = part, path  # gzip, as the storage keeps it

    @classmethod
    def copy(cls, source: Path, part: Part, target: Path) -> "Content":
        """Read a part of the input. Raises SubmissionError where it is not what was checked."""
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

    def open(self) -> gzip.GzipFile:
        """The plain bytes, seekable."""
        return gzip.GzipFile(self.path, "rb")

    def lines(self) -> list[bytes]:
        """All requests, blank lines left out; a CR ends none. For parts that are sent inline, which are small."""
        with self.open() as data:
            return [line for line in data.read().split(b"\n") if line.strip()]


def with_hashes(submission: Submission, source: Path) -> Submission:
    """A plan of the version before names no hash of its parts: read them from the input, which it names the hash of.

    Raises SubmissionError where the input is not that one.
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
    if whole.hexdigest() != submission.order.sha256:
        raise SubmissionError(CHANGED.format(path=source))
    return msgspec.structs.replace(submission, parts=tuple(parts))


def _read_chunks(data: IO[bytes], size_bytes: int) -> Iterator[bytes]:
    """So many bytes, or fewer where the file ends before."""
    while size_bytes > 0 and (chunk := data.read(min(COPY_BYTES, size_bytes))):
        size_bytes -= len(chunk)
        yield chunk
