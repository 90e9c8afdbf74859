"""Checks of what lies beside the outputs and has no rows in the index, and of what the manifest calls missing."""

from collections.abc import Iterator
from pathlib import Path

from receiver.errors import StorageError
from receiver.outputs.manifest import FormsRecord, Manifest
from receiver.outputs.paths import forms_name, index_name, input_name, manifest_name, retry_name
from receiver.storage import Storage
from workers.store.batch_input import BatchInput
from workers.store.digests import digest_of
from workers.verification.rules import Discrepancy


def open_output(storage: Storage, name: str) -> Iterator[bytes] | Discrepancy:
    """An object's bytes in pieces, or why there are none. The name comes from a stored row, which may be anything."""
    if any(part in ("", ".", "..") for part in name.split("/")):
        return Discrepancy(name, None, "this is no name of an output")
    chunks = storage.read_chunks(name)
    return Discrepancy(name, None, "it is not there") if chunks is None else chunks


def check_digest(storage: Storage, name: str, sha256: str) -> Iterator[Discrepancy]:
    """Whether an object is there and has this sha256 (hex)."""
    chunks = open_output(storage, name)
    if isinstance(chunks, Discrepancy):
        yield chunks
        return
    found, _ = digest_of(chunks)
    if found != sha256:
        yield Discrepancy(name, None, f"its sha256 is {found}, the manifest says {sha256}")


def check_records(storage: Storage, manifest: Manifest) -> Iterator[Discrepancy]:
    """What the manifest itself has the sha256 of, the index aside."""
    for record in (manifest.input, manifest.retry, *manifest.oversize):
        if record is not None:
            yield from check_digest(storage, record.name, record.sha256)
    batch_id = manifest.batch
    forms = manifest.forms.index if isinstance(manifest.forms, FormsRecord) else None
    places = (
        (manifest.index, index_name),
        (manifest.retry, retry_name),
        (manifest.input, input_name),
        (forms, forms_name),
    )
    for record, place in places:
        if record is not None and record.name != place(batch_id):
            yield Discrepancy(
                manifest_name(batch_id),
                None,
                f"it names {record.name} where {place(batch_id)} belongs",
            )


def fetch_input(
    storage: Storage, manifest: Manifest, scratch: Path
) -> BatchInput | Discrepancy | None:
    """The input that the manifest names, or what is off with it; None where it names none."""
    if manifest.input is None:
        return None
    try:
        result_key = manifest.result_key or ""
        return BatchInput.fetch(storage, manifest.batch, scratch, lambda: None, result_key)
    except StorageError as error:
        if error.retryable:
            raise
        return Discrepancy(manifest.input.name, None, str(error))
