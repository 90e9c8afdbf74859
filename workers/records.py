"""The records beside a batch's outputs: the index, the errors and what can be sent again.

They gather in scratch files, and their bytes depend on the source alone: no clock, no host, no file name in the gzip.
"""

import gzip
import hashlib
import json
from base64 import b64encode
from pathlib import Path
from typing import IO, Any

import msgspec

from receiver.layout import errors_name, index_name, retry_name
from receiver.storage import Storage
from workers.outcomes import Outcome, Result

INDEX_LEVEL = 1  # hashes don't shrink, and the rest shrinks well at any level
ROWS_TOGETHER = 512


class IndexRow(msgspec.Struct):
    """One line of the source, and the bytes that it became."""

    line: int  # from 1
    key: str | None
    outcome: str
    object: str  # from the storage root
    offset: int  # bytes
    length: int  # bytes, without the newline
    sha256: str  # hex, of those bytes


def encode_row(row: dict[str, Any]) -> bytes:
    """JSON in ASCII, so that keys with lone surrogates survive."""
    return json.dumps(row, separators=(",", ":")).encode()


class Records:
    """Gathers the three records of one batch."""

    def __init__(self, batch_id: str, scratch: Path) -> None:
        self._names = {"index": index_name(batch_id), "errors": errors_name(batch_id), "retry": retry_name(batch_id)}
        self._paths = {kind: scratch / kind for kind in self._names}
        self._index_file = self._paths["index"].open("wb")
        self._index = gzip.GzipFile(
            filename="", mode="wb", compresslevel=INDEX_LEVEL, fileobj=self._index_file, mtime=0
        )
        self._errors: IO[bytes] = self._paths["errors"].open("wb")
        self._retry: IO[bytes] = self._paths["retry"].open("wb")
        self._encoder = msgspec.json.Encoder()
        self._rows: list[bytes] = []
        self._errors_size = 0

    @property
    def index_name(self) -> str:
        return self._names["index"]

    def add_error(self, number: int, result: Result, outcome: Outcome, line: bytes) -> None:
        """Keep a line that is no answer, with what is wrong with it."""
        row: dict[str, Any] = {
            "line": number,
            "key": result.key,
            "outcome": outcome,
            "code": result.code,
            "message": result.message,
        }
        try:
            row |= {"raw": line.decode(), "raw_base64": None}
        except UnicodeDecodeError:
            row |= {"raw": None, "raw_base64": b64encode(line).decode()}
        data = encode_row(row)
        self._errors.write(data + b"\n")
        digest = hashlib.sha256(data).hexdigest()
        self.add_row(IndexRow(number, result.key, outcome, self._names["errors"], self._errors_size, len(data), digest))
        self._errors_size += len(data) + 1

    def add_retry(self, key: str) -> None:
        """Note a request that is worth sending again."""
        self._retry.write(encode_row({"key": key}) + b"\n")

    def add_row(self, row: IndexRow) -> None:
        """Note where a line went."""
        try:
            data = self._encoder.encode(row)
        except (UnicodeEncodeError, msgspec.MsgspecError):
            data = encode_row(msgspec.structs.asdict(row))
        self._rows += (data, b"\n")
        if len(self._rows) >= 2 * ROWS_TOGETHER:
            self._flush_rows()

    def _flush_rows(self) -> None:
        self._index.write(b"".join(self._rows))
        self._rows.clear()

    def store(self, storage: Storage) -> str:
        """Write all three to the storage. Gives the sha256 of the index object in hex."""
        self._flush_rows()
        self._index.close()
        for file in (self._index_file, self._errors, self._retry):
            file.close()
        with self._paths["index"].open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        for kind, name in self._names.items():
            storage.put_file(name, self._paths[kind])
        return digest
