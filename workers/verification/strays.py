"""Finds objects in a batch's folders that none of its records names.

A million names are compared as two sorted streams of a table on disk.
"""

import gzip
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from receiver.errors import ManifestError
from receiver.outputs.manifest import FormsRecord, Manifest, read_manifest
from receiver.outputs.paths import (
    Namer,
    batch_folder,
    errors_name,
    forms_name,
    index_name,
    input_name,
    manifest_name,
    retry_name,
)
from receiver.storage import Storage
from receiver.storage.local import can_be_name
from receiver.storage.replaced import replaced_folder
from receiver.submissions.batch_links import origin_name, resubmitted_name
from receiver.tolerant_json import tolerant_reader
from workers.verification.findings import Discrepancy, VerifyReport

MAX_FOLDERS = 1000
NAMED_FOLDERS = 3


class _Named(msgspec.Struct, gc=False):
    """A row of an index, of outputs or of forms."""

    object: str | None = None


_read_object = tolerant_reader(_Named)


class Folders:
    """The folders of a batch's objects: its own, and those of the template that are its alone."""

    def __init__(self, batch_id: str, namer: Namer | None) -> None:
        """`namer` is None where names can't be made again; then the index shows their folders."""
        self._own = batch_folder(batch_id)
        self._part = f"/{self._own}/"
        self._found = {self._own}
        if namer is not None and namer.folder is not None:
            self._found.add(namer.folder)
        self._starts = tuple(f"{folder}/" for folder in self._found)
        self.elsewhere = False  # some outputs lie in folders that other batches may share

    def add(self, name: str) -> None:
        """The name of an output."""
        if name.startswith(self._starts):
            return
        position = name.find(self._part)
        if position < 0 or not can_be_name(name) or len(self._found) >= MAX_FOLDERS:
            self.elsewhere = True
            return
        self._found.add(name[: position + len(self._part) - 1])
        self._starts = tuple(f"{folder}/" for folder in self._found)

    def listed(self) -> list[str]:
        """Each folder that is inside none of the others."""
        return sorted(
            folder
            for folder in self._found
            if not any(folder.startswith(f"{other}/") for other in self._found if other != folder)
        )


def records_of(manifest: Manifest) -> Iterator[str]:
    """The names beside the outputs and the forms that a batch may have."""
    batch_id = manifest.batch
    yield from (manifest_name(batch_id), origin_name(batch_id), resubmitted_name(batch_id))
    if manifest.index is not None:
        yield from (index_name(batch_id), errors_name(batch_id))
    if manifest.index is not None or manifest.retry is not None:
        yield retry_name(batch_id)
    if manifest.input is not None:
        yield input_name(batch_id)
    if isinstance(manifest.forms, FormsRecord):
        yield forms_name(batch_id)
    yield from (record.name for record in manifest.oversize)


class Strays:
    """Finds them once.

    In the tables `pieces` and `forms`, the column `object` names what may be there.
    """

    def __init__(self, table: sqlite3.Connection, folders: Folders, report: VerifyReport) -> None:
        self._table, self._folders, self._report = table, folders, report
        table.execute("CREATE TABLE listed (object TEXT)")

    def find(self, storage: Storage, manifest: Manifest, signature: str, scratch: Path) -> None:
        """Report what no record names.

        `signature` is the name of the manifest's signature, `scratch` a folder.
        """
        table = self._table
        ours = {*records_of(manifest), signature}
        table.executemany("INSERT INTO listed VALUES (?)", self._list(storage, manifest, ours))
        table.executemany("INSERT INTO forms VALUES (?)", self._list_replaced(storage, scratch))
        known = table.execute(
            "SELECT object FROM pieces UNION ALL SELECT object FROM forms ORDER BY object"
        )
        there = table.execute("SELECT object FROM listed ORDER BY object")
        self._report.add(
            map(_stray, _surplus((row[0] for row in there), (row[0] for row in known)))
        )
        if self._folders.elsewhere:
            searched = _named(self._folders.listed())
            words = f"objects that no record names, but in {searched}"
            self._report.note(f"{words}: other batches share the other folders")

    def _list_replaced(self, storage: Storage, scratch: Path) -> Iterator[tuple[str]]:
        """Records of a replaced manifest, and their objects; the new records may not name them."""
        for name in self._report.replaced:
            with suppress(ManifestError):
                yield from (
                    (found,) for found in records_of(read_manifest(storage.read(name) or b""))
                )
            folder, path = name.rpartition("/")[0], scratch / "replaced"
            for record in ("_index.jsonl.gz", "_forms.jsonl.gz"):
                if storage.read_to_file(f"{folder}/{record}", path):
                    yield from ((found,) for found in _read_objects(path))

    def _list(self, storage: Storage, manifest: Manifest, ours: set[str]) -> Iterator[tuple[str]]:
        """What a row must name; a manifest that was set aside, and its signature, are notes."""
        aside, replaced = (
            f"{batch_folder(manifest.batch)}/_manifest.",
            replaced_folder(manifest.batch),
        )
        for folder in self._folders.listed():
            for name in storage.iter_names(folder):
                if name in ours or name.startswith(replaced):
                    continue
                if not _is_text(name):
                    self._report.add([_stray(ascii(name))])
                elif name == input_name(
                    manifest.batch
                ):  # it may come when the batch is stored already
                    self._report.note(f"{name}: the manifest does not know it")
                elif name.startswith(aside):
                    self._report.note(
                        f"{name}: another manifest of this batch, or the signature of another"
                    )
                else:
                    yield (name,)


def _read_objects(path: Path) -> Iterator[str]:
    with (
        suppress(gzip.BadGzipFile, EOFError, zlib.error, ValueError),
        gzip.open(path, "rb") as lines,
    ):
        for line in lines:
            name = _read_object(line).object
            if name is not None:
                yield name


def _stray(name: str) -> Discrepancy:
    return Discrepancy(name, None, "no record of the batch names it")


def _surplus(names: Iterable[str], known: Iterable[str]) -> Iterator[str]:
    """The names that are not known; both come sorted."""
    expected = iter(known)
    other = next(expected, None)
    for name in names:
        while other is not None and other < name:
            other = next(expected, None)
        if name != other:
            yield name


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # a local folder can hold names that are no UTF-8
        return False
    return True


def _named(folders: list[str]) -> str:
    more = len(folders) - NAMED_FOLDERS
    return ", ".join(folders[:NAMED_FOLDERS]) + (f" and {more} more" if more > 0 else "")
