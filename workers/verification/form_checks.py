"""Checks the forms of a stored batch: objects against their index, that against the manifest."""

import gzip
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec

from receiver.outputs.manifest import FormsRecord, Manifest
from receiver.outputs.paths import forms_name, manifest_name
from receiver.storage import Storage
from receiver.storage.ordered_map import ordered_map
from receiver.tolerant_json import tolerant_reader
from workers.store.records import file_sha256
from workers.verification.findings import Discrepancy
from workers.verification.record_checks import digest_of, open_output

OBJECT_BATCH_SIZE = 32  # that one thread reads, one after the other


class _Row(msgspec.Struct, gc=False, frozen=True):
    """A row of the index of the forms."""

    form: str
    object: str | None  # None: the answer could not take the form
    bytes: Annotated[int, msgspec.Meta(ge=0, le=2**62)] = 0
    sha256: str = ""


_read_row = tolerant_reader(_Row)


def check_forms(
    storage: Storage, manifest: Manifest, scratch: Path, table: sqlite3.Connection
) -> Iterator[Discrepancy]:
    """What is wrong with the forms, if the batch has any; their names go into the table `forms`."""
    forms = manifest.forms
    if not isinstance(forms, FormsRecord):
        return
    name, path = forms_name(manifest.batch), scratch / "forms"
    if not storage.read_to_file(name, path):
        yield Discrepancy(name, None, "it is not there")
        return
    if (found_sha256 := file_sha256(path)) != forms.index.sha256:
        yield Discrepancy(
            name, None, f"its sha256 is {found_sha256}, the manifest says {forms.index.sha256}"
        )
    sums = _Sums()
    yield from _check_objects(storage, _noted(table, sums.rows(name, path)))
    yield from sums.findings
    if (sums.objects, sums.failed, sums.size_bytes) != (
        Counter(forms.objects),
        Counter(forms.failed),
        forms.bytes,
    ):
        said = f"{forms.objects}, {forms.bytes} bytes, failed {forms.failed}"
        found = f"{dict(sums.objects)}, {sums.size_bytes} bytes, failed {dict(sums.failed)}"
        yield Discrepancy(
            manifest_name(manifest.batch),
            None,
            f"it says of the forms {said}; their index has {found}",
        )


def _noted(table: sqlite3.Connection, rows: Iterator[_Row]) -> Iterator[_Row]:
    for row in rows:
        table.execute("INSERT INTO forms VALUES (?)", (row.object,)).close()
        yield row


class _Sums:
    """What the rows of the index add up to."""

    def __init__(self) -> None:
        self.objects: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.size_bytes = 0
        self.findings: list[Discrepancy] = []

    def rows(self, name: str, path: Path) -> Iterator[_Row]:
        """The rows that name an object."""
        try:
            with gzip.open(path, "rb") as lines:
                for line in lines:
                    row = _read_row(line)
                    if row.object is None:
                        self.failed[row.form] += 1
                        continue
                    row.object.encode()  # a name that is no text can't be looked up
                    self.objects[row.form] += 1
                    self.size_bytes += row.bytes
                    yield row
        except (gzip.BadGzipFile, EOFError, zlib.error, ValueError) as error:
            self.findings.append(Discrepancy(name, None, f"it can't be read: {error}"))


def _check_objects(storage: Storage, rows: Iterator[_Row]) -> Iterator[Discrepancy]:
    """Read every object, several at a time; findings keep the order of the rows."""
    batches = iter(lambda: list(islice(rows, OBJECT_BATCH_SIZE)), [])
    for findings in ordered_map(partial(_check_all, storage), batches):
        yield from findings


def _check_all(storage: Storage, rows: list[_Row]) -> list[Discrepancy]:
    return [finding for row in rows for finding in _check_object(storage, row)]


def _check_object(storage: Storage, row: _Row) -> Iterator[Discrepancy]:
    name = row.object or ""
    chunks = open_output(storage, name)
    if isinstance(chunks, Discrepancy):
        yield chunks
        return
    sha256, size = digest_of(chunks)
    if (sha256, size) != (row.sha256, row.bytes):
        yield Discrepancy(
            name,
            None,
            f"its {size} bytes are not the {row.bytes} that the index of the forms has a sha256 of",
        )
