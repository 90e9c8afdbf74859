"""Reads the parts of a submission: the requests of each, and the results of its batch."""

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from receiver.answers.index_rows import StoredRow
from receiver.answers.requests import read_key
from receiver.errors import StorageError
from receiver.outputs.manifest import FormsRecord, Manifest
from receiver.outputs.outcomes import Outcome
from receiver.outputs.paths import forms_name, input_name, retry_name
from receiver.storage import Storage
from receiver.submissions.records import requests_name
from receiver.submissions.state import PartState
from receiver.tolerant_json import tolerant_reader
from workers.store.batch_input import read_lines
from workers.store.manifest import load_manifest
from workers.store.records import read_index
from workers.submissions.request_table import Remedy, RequestTable

ROWS_BETWEEN_CHECKS = 4096
FURTHER = "candidate "  # begins what is said of a candidate that does not decide


class _FormRow(msgspec.Struct, gc=False, frozen=True):
    """A row of the index of the forms."""

    form: str
    line: int | None = None
    error: str | None = None  # why the answer could not take the form


_read_form_row = tolerant_reader(_FormRow)


@dataclass(frozen=True)
class Reading:
    """Where things are read from; `check` is called every few thousand rows."""

    storage: Storage
    scratch: Path  # a folder
    check: Callable[[], None]
    # Files of JSON lines with requests that the storage lacks, by the number of the part.
    given: Mapping[int, Path] = field(default_factory=dict)


def load_requests(reading: Reading, parts: Sequence[PartState], table: RequestTable) -> None:
    """Fill a table with every request of a submission and all its tries, by the parts' numbers.

    Raises StorageError and ManifestError.
    """
    for one in parts:
        if not one.part.round:
            manifest = load_part_manifest(reading.storage, one)
            keys = read_keys(reading, one, key_member(manifest))
            number = one.part.number if one.batch else None
            table.add_requests(keys, number, _help_for_missing(manifest))
    for one in parts:
        manifest = load_part_manifest(reading.storage, one)
        if one.part.round and one.batch:
            keys = read_keys(reading, one, key_member(manifest))
            table.begin_try(keys, one.part.number, _help_for_missing(manifest))
        if manifest is not None:
            load_results(reading, manifest, one.part.number, table)


def _help_for_missing(manifest: Manifest | None) -> Remedy:
    """What is lost may have been paid for, and may come after all: it is not sent again."""
    return Remedy.NONE if manifest is None else Remedy.AGAIN


def load_results(reading: Reading, manifest: Manifest, number: int, table: RequestTable) -> None:
    """Add what a stored batch holds, as the results of a try whose requests are in the table."""
    table.add_results(number, _read_results(reading, manifest))
    table.add_retries(number, _read_retries(reading, manifest))


def read_requests(reading: Reading, one: PartState) -> Iterator[bytes]:
    """The requests of a part in their order, each with a newline. Raises StorageError."""
    for line in read_sent_lines(reading, one):
        yield line if line.endswith(b"\n") else line + b"\n"


def read_sent_lines(reading: Reading, one: PartState) -> Iterator[bytes]:
    """The requests of a part as they were sent; the last one may lack its newline."""
    if (given := reading.given.get(one.part.number)) is not None:
        with given.open("rb") as lines:
            yield from (line for line in lines if line.strip())
        return
    path, names = reading.scratch / "requests.gz", _places_of(one)
    name = next((name for name in names if reading.storage.read_to_file(name, path)), None)
    if name is None:
        words = f"{' and '.join(names)} are not there: the requests of part {one.part.number}"
        raise StorageError(f"{words} are lost", retryable=False)
    try:
        yield from read_lines(path, reading.check)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise StorageError(f"{name} is no whole gzip file: {error}", retryable=False) from error
    finally:
        path.unlink(missing_ok=True)


def has_requests(reading: Reading, one: PartState) -> bool:
    """Whether anybody knows the requests of a part."""
    is_given = one.part.number in reading.given
    return is_given or any(reading.storage.exists(name) for name in _places_of(one))


def _places_of(one: PartState) -> list[str]:
    """Where the requests of a part may lie; earlier versions kept them beside the outputs alone."""
    by_hash = [requests_name(one.part.sha256)] if one.part.sha256 else []
    return [*by_hash, *([input_name(one.batch)] if one.batch else [])]


def read_keys(reading: Reading, one: PartState, result_key: str) -> Iterator[str]:
    """The keys of a part's requests in their order. Raises StorageError where one has none."""
    for number, line in enumerate(read_requests(reading, one), 1):
        key = read_key(line, result_key)
        if key is None:
            words = f"request {number} of part {one.part.number} has no key"
            raise StorageError(words, retryable=False)
        yield key


def load_part_manifest(storage: Storage, one: PartState) -> Manifest | None:
    """Of the batch of a part; None where it is not stored. Raises ManifestError."""
    return load_manifest(storage, one.batch) if one.batch and one.is_stored else None


def key_member(manifest: Manifest | None) -> str:
    """RESULT_KEY, as a batch was read with; empty where it was not set."""
    return (manifest.result_key or "") if manifest else ""


def read_result_keys(reading: Reading, manifest: Manifest) -> Iterator[str]:
    """The keys of the lines of a stored batch, second lines left out."""
    for row, _ in _read_results(reading, manifest):
        if row.key is not None and row.outcome != Outcome.DUPLICATE:
            yield row.key


def _read_results(reading: Reading, manifest: Manifest) -> Iterator[tuple[StoredRow, str | None]]:
    """Each row of the index, with why its answer does not fit the schema."""
    if manifest.index is None:
        return
    faults = _read_faults(reading, manifest)
    line, words = next(faults, (0, ""))
    for count, row in enumerate(read_index(reading.storage, manifest.batch, reading.scratch)):
        if count % ROWS_BETWEEN_CHECKS == 0:
            reading.check()
        while line and line < row.line:
            line, words = next(faults, (0, ""))
        yield row, words if line == row.line else None


def _read_faults(reading: Reading, manifest: Manifest) -> Iterator[tuple[int, str]]:
    """The lines whose answer does not fit the schema, in their order, with the reason of each."""
    forms = manifest.forms
    if not isinstance(forms, FormsRecord) or not forms.schema or not forms.failed.get("json"):
        return
    name, path = forms_name(manifest.batch), reading.scratch / "forms.gz"
    if not reading.storage.read_to_file(name, path):
        raise StorageError(f"{name} is not there: see `verify`", retryable=False)
    try:
        with gzip.open(path, "rb") as rows:
            for data in rows:
                row = _read_form_row(data)
                if row.form == "json" and row.error and not row.error.startswith(FURTHER):
                    yield row.line or 0, row.error
    except (gzip.BadGzipFile, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise StorageError(
            f"{name} can't be read: {error}; see `verify`", retryable=False
        ) from error


def _read_retries(reading: Reading, manifest: Manifest) -> Iterator[str]:
    """The keys in `_retry.jsonl`: of requests that may be answered if they are sent again."""
    path = reading.scratch / "retry"
    if not reading.storage.read_to_file(retry_name(manifest.batch), path):
        return
    with path.open("rb") as rows:
        for row in rows:
            key = read_key(row, key_member(manifest))
            if key is not None:
                yield key
