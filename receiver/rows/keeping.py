"""The storage's records of a table: by content, so that the same table is kept once.

`_rows/<sha256>.<ending>` has the table's bytes, `_rows/<sha256>.keys.gz` the keys of its rows,
`_rows/<sha256>.reused.gz` the answers of stored submissions, and
`_submissions/<id>/rows.json` names them.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

import msgspec

from receiver.errors import AlreadyStoredError, ExportError, RowsError
from receiver.outputs.manifest import Record
from receiver.rows.plan import RowFiles, RowsRecord
from receiver.rows.readers import TableFormat
from receiver.storage import Storage
from receiver.submissions.proof import RowsProof
from receiver.tolerant_json import tolerant_reader

FOLDER = "_rows"
_read_record = tolerant_reader(RowsRecord)


def table_record(sha256: str, form: TableFormat) -> Record:
    return Record(f"{FOLDER}/{sha256}.{form}", sha256)


def keys_record(sha256: str) -> Record:
    return Record(f"{FOLDER}/{sha256}.keys.gz", sha256)


def reused_record(sha256: str) -> Record:
    return Record(f"{FOLDER}/{sha256}.reused.gz", sha256)


def record_object(submission_id: str) -> str:
    return f"_submissions/{submission_id}/rows.json"


def hash_file(path: Path) -> str:
    """Its sha256 in hex. Raises OSError."""
    with path.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def keep_rows(
    storage: Storage, submission_id: str, record: RowsRecord, table: Path, files: RowFiles
) -> None:
    """Store a table with the keys of its rows, and the record last. Raises StorageError, RowsError.

    The first record counts for good, as the plan does: the table may have another name later.
    """
    keep_file(storage, record.table, table)
    keep_file(storage, record.keys, files.keys)
    if record.reused is not None:
        keep_file(storage, record.reused, files.reused)
    with suppress(AlreadyStoredError):
        storage.create(record_object(submission_id), msgspec.json.encode(record))


def keep_file(storage: Storage, record: Record, path: Path) -> None:
    """Store a copy of a file of the user's unless it is there.

    Raises StorageError, and RowsError where its content is no longer that of the record.
    """
    if storage.exists(record.name):
        return
    near = storage.scratch_near()
    with tempfile.TemporaryDirectory(prefix="gbr-", dir=near) as folder:
        copy = Path(folder) / "copy"
        shutil.copyfile(path, copy)
        if hash_file(copy) != record.sha256:
            raise RowsError(f"{path} has changed since it was read: submit again")
        storage.put_files([(record.name, copy)])


def read_rows_record(
    storage: Storage, submission_id: str, proven: Mapping[str, str] = MappingProxyType({})
) -> RowsRecord | None:
    """The record of a submission's table; None where it was made of requests.

    `proven` are the sha256 (hex) of records by their objects, as the submission's manifest has
    them. Raises StorageError, and ExportError where it is gone, or none of these.
    """
    name = record_object(submission_id)
    data = storage.read(name)
    expected = proven.get(name)
    if expected is not None and (data is None or hashlib.sha256(data).hexdigest() != expected):
        raise ExportError(f"{name} has changed since, or is gone: see `submissions verify`")
    if data is None:
        return None
    try:
        return _read_record(data)
    except (ValueError, RecursionError) as error:
        raise ExportError(f"{name} can't be read: {error}") from error


def prove_rows(storage: Storage, submission_id: str) -> RowsProof | None:
    """What a submission's manifest says of its table; None where it was made of requests.

    Raises StorageError and ExportError.
    """
    record = read_rows_record(storage, submission_id)
    if record is None:
        return None
    reused = sum(record.copied_from.values())
    objects = [record.table, record.keys]
    return RowsProof(
        rows=record.rows,
        requests=record.requests,
        copied=record.rows - record.requests - reused,
        reused=reused,
        copied_from=record.copied_from,
        keys_sha256=record.keys_sha256,
        objects=[*objects, record.reused] if record.reused else objects,
    )
