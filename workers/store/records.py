"""The records beside a batch's outputs: the index, the errors and what can be sent again.

They gather in scratch files, and their bytes depend on the source alone.
"""

import hashlib
import json
from base64 import b64encode
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

from receiver.outputs.manifest import Record
from receiver.outputs.outcomes import Outcome
from receiver.outputs.paths import errors_name, index_name, retry_name
from receiver.storage import Storage
from workers.results.lines import is_utf8
from workers.results.rules import Result
from workers.store.digests import file_sha256
from workers.store.index import IndexWriter
from workers.store.index_rows import IndexRow

PIECE_BYTES = 48 * 1024  # of a line; three bytes are four characters of base64


def encode_row(row: dict[str, Any]) -> bytes:
    """JSON in ASCII, so that keys with lone surrogates survive."""
    return json.dumps(row, separators=(",", ":")).encode()


class RowSink(Protocol):
    """Takes the rows of the index."""

    def add(self, rows: list[IndexRow]) -> None:
        """Take rows, in order."""

    def finish(self) -> str:
        """All came. Gives the sha256 of what they became, in hex."""


def _encode_error(row: dict[str, Any], line: bytes) -> Iterator[bytes]:
    """A row with its line, as text or as base64, in pieces: no copy of a long line is made."""
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
    """Gathers the three records of one batch, for the length of a `with`."""

    def __init__(self, batch_id: str, scratch: Path, index: "RowSink | None" = None) -> None:
        """`index` takes the rows in place of a file."""
        self._names = {
            "index": index_name(batch_id),
            "errors": errors_name(batch_id),
            "retry": retry_name(batch_id),
        }
        self._paths = {kind: scratch / kind for kind in self._names}
        self._open = ExitStack()
        self.index: RowSink = index or self._open.enter_context(IndexWriter(self._paths["index"]))
        self._errors: IO[bytes] = self._open.enter_context(self._paths["errors"].open("wb"))
        self._retry: IO[bytes] = self._open.enter_context(self._paths["retry"].open("wb"))
        self._doubtful_path = scratch / "doubtful"
        self._doubtful: IO[bytes] = self._open.enter_context(self._doubtful_path.open("wb"))
        self._errors_size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def add_error(self, number: int, result: Result, outcome: Outcome, line: bytes) -> IndexRow:
        """Keep a line that is no answer, with what is wrong with it. Gives its row of the index."""
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
        """Note a request that is worth sending again; `may_be_answered` unless a later line answers it."""
        file = self._doubtful if may_be_answered else self._retry
        file.write(encode_row({"key": key}) + b"\n")

    def store(
        self,
        storage: Storage,
        is_answered: Callable[[str], bool],
        complete_retries: Callable[[Path], None] | None = None,
    ) -> dict[str, Record]:
        """Write all three to the storage. Gives `index` and `retry`; `_errors.jsonl` is proven by rows of the index.

        `complete_retries` may replace the `{"key": …}` rows of the file that it is given by whole requests.
        """
        index_sha256 = self.index.finish()
        self._open.close()
        self._settle_doubts(is_answered)
        if complete_retries is not None:
            complete_retries(self._paths["retry"])
        digests = {"index": index_sha256, "retry": file_sha256(self._paths["retry"])}
        storage.put_files([(name, self._paths[kind]) for kind, name in self._names.items()])
        return {kind: Record(self._names[kind], digest) for kind, digest in digests.items()}

    def _settle_doubts(self, is_answered: Callable[[str], bool]) -> None:
        """Keep the doubtful requests that no line answered, each once."""
        noted: set[str] = set()
        with self._doubtful_path.open("rb") as rows, self._paths["retry"].open("ab") as retry:
            for row in rows:
                key = json.loads(row)["key"]
                if key not in noted and not is_answered(key):
                    noted.add(key)
                    retry.write(row)
