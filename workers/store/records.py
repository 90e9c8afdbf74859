"""The records beside a batch's outputs: the index, the errors and what can be sent again.

They are written to scratch files first, and their bytes depend on the source alone.
"""

import gzip
import hashlib
import json
import zlib
from base64 import b64encode
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO, Any, Protocol
from zlib import DEFLATED

from receiver.answers.index_rows import IndexRow, StoredRow, encode_rows, read_row
from receiver.errors import StorageError
from receiver.outputs.manifest import Record
from receiver.outputs.outcomes import Outcome
from receiver.outputs.paths import errors_name, index_name, retry_name
from receiver.storage import Storage
from workers.results.rules import Result
from workers.results.utf8 import is_utf8

try:
    from isal.isal_zlib import compressobj  # takes a quarter of the time, and makes less of it
except ImportError:
    from zlib import compressobj  # type: ignore[assignment]

GZIP_LEVEL = 1  # hashes don't shrink, and the rest shrinks well at any level
GZIP_WINDOW = zlib.MAX_WBITS | 16  # zlib's sign for a gzip header and trailer
GZIP_PIECE_BYTES = 128 * 1024
ROW_BATCH_SIZE = 512
PIECE_BYTES = 48 * 1024  # of a line; three bytes are four characters of base64


def file_sha256(path: Path) -> str:
    """In hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def encode_row(row: dict[str, Any]) -> bytes:
    """JSON in ASCII, so that keys with lone surrogates survive."""
    return json.dumps(row, separators=(",", ":")).encode()


class GzipWriter:
    """Writes a gzip file whose bytes depend on its content alone: no time and no name is in it.

    Another compressor makes other bytes of the same content, and ISA-L does so of other pieces.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")
        self._gzip = compressobj(GZIP_LEVEL, DEFLATED, GZIP_WINDOW)
        self._waiting = bytearray()

    def write(self, data: bytes) -> None:
        self._waiting += data
        while len(self._waiting) >= GZIP_PIECE_BYTES:
            self._file.write(self._gzip.compress(self._waiting[:GZIP_PIECE_BYTES]))
            del self._waiting[:GZIP_PIECE_BYTES]

    def finish(self) -> str:
        """Complete the file. Returns its sha256 in hex."""
        self._file.write(self._gzip.compress(self._waiting) + self._gzip.flush())
        self.close()
        return file_sha256(self.path)

    def close(self) -> None:
        """Close the file as it is; harmless after `finish`."""
        self._file.close()


class RowSink(Protocol):
    """Takes the rows of the index."""

    def add(self, rows: list[IndexRow]) -> None:
        """Take rows, in order."""

    def finish(self) -> str:
        """No row follows. Returns the sha256 of what they became, in hex."""


class IndexWriter:
    """Writes the index, one JSON row per line of the source, to a gzip file."""

    def __init__(self, path: Path) -> None:
        self._file = GzipWriter(path)
        self._rows: list[IndexRow] = []

    def add(self, rows: list[IndexRow]) -> None:
        """Write rows, in order."""
        self._rows += rows
        if len(self._rows) >= ROW_BATCH_SIZE:
            self._flush()

    def _flush(self) -> None:
        self._file.write(encode_rows(self._rows))
        self._rows.clear()

    def finish(self) -> str:
        """Complete the file. Returns its sha256 in hex."""
        self._flush()
        return self._file.finish()

    def close(self) -> None:
        self._file.close()


def read_rows(path: Path) -> Iterator[StoredRow]:
    """The rows of an index that was copied to a file."""
    with gzip.open(path, "rb") as lines:
        for line in lines:
            yield read_row(line)


def read_index(storage: Storage, batch_id: str, scratch: Path) -> Iterator[StoredRow]:
    """Every row of a stored index, in the order of the source; `scratch` is a folder.

    Raises StorageError when the index can't be read to its end.
    """
    name, path = index_name(batch_id), scratch / "index"
    if not storage.read_to_file(name, path):
        raise StorageError(f"{name} is not there: is the batch stored?", retryable=False)
    try:
        yield from read_rows(path)
    except (gzip.BadGzipFile, EOFError, zlib.error, ValueError, RecursionError) as error:
        hint = f"`gemini-batch-receiver verify {batch_id}` names what is off"
        raise StorageError(f"{name} can't be read: {error}; {hint}", retryable=False) from error


def _encode_error(row: dict[str, Any], line: bytes) -> Iterator[bytes]:
    """A row with its line, as text or as base64, in pieces that need no copy of a long line."""
    start = encode_row(row).removesuffix(b"}")
    if is_utf8(line):
        yield start + b',"raw":"'
        decode = getincrementaldecoder("utf-8")().decode
        for position in range(0, len(line), PIECE_BYTES):
            yield json.dumps(decode(line[position : position + PIECE_BYTES]))[1:-1].encode()
        yield b'","raw_base64":null}'
    else:
        yield start + b',"raw":null,"raw_base64":"'
        for position in range(0, len(line), PIECE_BYTES):
            yield b64encode(line[position : position + PIECE_BYTES])
        yield b'"}'


class RecordWriter:
    """Gathers the three records of one batch in scratch files: `store` them, then `close`."""

    def __init__(self, batch_id: str, scratch: Path, index: RowSink | None = None) -> None:
        """`index` takes the rows instead of a file."""
        self._names = {
            "index": index_name(batch_id),
            "errors": errors_name(batch_id),
            "retry": retry_name(batch_id),
        }
        self._paths = {kind: scratch / kind for kind in self._names}
        self._doubtful_path = scratch / "doubtful"

        self._open = ExitStack()
        self.index: RowSink = index or self._open.enter_context(
            closing(IndexWriter(self._paths["index"]))
        )
        self._errors = self._open_file(self._paths["errors"])
        self._retry = self._open_file(self._paths["retry"])
        self._doubtful = self._open_file(self._doubtful_path)
        self._errors_size = 0

    def _open_file(self, path: Path) -> IO[bytes]:
        return self._open.enter_context(path.open("wb"))

    def close(self) -> None:
        self._open.close()

    def add_error(self, number: int, result: Result, outcome: Outcome, line: bytes) -> IndexRow:
        """Keep a line that is no answer, and what is wrong with it. Returns its index row."""
        row: dict[str, Any] = {
            "line": number,
            "key": result.key,
            "outcome": outcome,
            "code": result.code,
            "message": result.message,
        }

        digest, length = hashlib.sha256(), 0
        for piece in _encode_error(row, line):
            self._errors.write(piece)
            digest.update(piece)
            length += len(piece)
        self._errors.write(b"\n")

        offset, self._errors_size = self._errors_size, self._errors_size + length + 1
        return IndexRow(
            number, result.key, outcome, self._names["errors"], offset, length, digest.hexdigest()
        )

    def add_retry(self, key: str, *, may_be_answered: bool = False) -> None:
        """Note a request that is worth sending again.

        With `may_be_answered` it is kept only if no line of the source answers it.
        """
        file = self._doubtful if may_be_answered else self._retry
        file.write(encode_row({"key": key}) + b"\n")

    def store(
        self,
        storage: Storage,
        is_answered: Callable[[str], bool],
        complete_retries: Callable[[Path], None] | None = None,
    ) -> dict[str, Record]:
        """Write all three to the storage.

        Returns `index` and `retry`; rows of the index prove `_errors.jsonl`. `complete_retries` may
        replace the `{"key": …}` rows of the file that it is given with whole requests.
        """
        index_sha256 = self.index.finish()
        self._open.close()
        self._keep_unanswered(is_answered)
        if complete_retries is not None:
            complete_retries(self._paths["retry"])
        digests = {"index": index_sha256, "retry": file_sha256(self._paths["retry"])}
        storage.put_files([(name, self._paths[kind]) for kind, name in self._names.items()])
        return {kind: Record(self._names[kind], digest) for kind, digest in digests.items()}

    def _keep_unanswered(self, is_answered: Callable[[str], bool]) -> None:
        """Keep the doubtful requests that no line answered, each once."""
        noted: set[str] = set()
        with self._doubtful_path.open("rb") as rows, self._paths["retry"].open("ab") as retry:
            for row in rows:
                key = json.loads(row)["key"]
                if key not in noted and not is_answered(key):
                    noted.add(key)
                    retry.write(row)
