"""Checks what has no rows in the index: the records that the manifest names, and its signature.

A signature of the manifest proves everything: the manifest holds the sha256 of all the rest.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from receiver.errors import StorageError
from receiver.outputs.manifest import FormsRecord, Manifest
from receiver.outputs.paths import (
    forms_name,
    index_name,
    input_name,
    manifest_name,
    retry_name,
    signature_name,
)
from receiver.outputs.proof_keys import PublicKey, read_signature
from receiver.storage import Storage
from receiver.storage.local import can_be_name
from workers.store.batch_input import BatchInput
from workers.verification.findings import Discrepancy, Findings


def digest_of(chunks: Iterable[bytes]) -> tuple[str, int]:
    """The sha256 of these bytes, in hex, and their number."""
    digest, size = sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def open_output(storage: Storage, name: str) -> Iterator[bytes] | Discrepancy:
    """An object's bytes in pieces, or why there are none.

    The name comes from a stored row, which may hold anything.
    """
    if not can_be_name(name) or any(part in ("", ".") for part in name.split("/")):
        return Discrepancy(name, None, "this is no name of an output")
    chunks = storage.read_chunks(name)
    return Discrepancy(name, None, "it is not there") if chunks is None else chunks


def check_digest(storage: Storage, name: str, expected: str) -> Iterator[Discrepancy]:
    """Whether an object is there and has the expected sha256 (hex)."""
    chunks = open_output(storage, name)
    if isinstance(chunks, Discrepancy):
        yield chunks
        return
    found, _ = digest_of(chunks)
    if found != expected:
        yield Discrepancy(name, None, f"its sha256 is {found}, the manifest says {expected}")


def check_records(storage: Storage, manifest: Manifest) -> Iterator[Discrepancy]:
    """The records whose sha256 the manifest has, without the index."""
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
    """The input that the manifest names, or what is wrong with it; None where it names none."""
    if manifest.input is None:
        return None
    try:
        result_key = manifest.result_key or ""
        return BatchInput.fetch(storage, manifest.batch, scratch, lambda: None, result_key)
    except StorageError as error:
        if error.retryable:
            raise
        return Discrepancy(manifest.input.name, None, str(error))


def own_signature(batch_id: str, data: bytes) -> str:
    """Where the signature of these bytes of a manifest lies."""
    return signature_name(batch_id, sha256(data).hexdigest())


class SignedManifest(NamedTuple):
    """A manifest as it is stored, and where its signature lies."""

    name: str
    data: bytes
    signature_name: str


def check_signature(
    storage: Storage,
    manifest: SignedManifest,
    public_keys: Sequence[PublicKey],
    report: Findings,
) -> None:
    """Check whose signature the manifest has.

    Where there are public keys, one of them must have signed it.
    """
    name, data = manifest.signature_name, manifest.data
    stored = storage.read(name)
    if stored is None:
        if public_keys:
            words = "no signature of these bytes is there"
            cause = "it is not signed, or was changed after it was"
            report.find(manifest.name, f"{words}: {cause}")
        return
    if not public_keys:
        report.note("the signature of the manifest: --public-key tells whose it is")
        return
    try:
        signature = read_signature(stored)
    except ValueError as error:
        report.find(name, f"it is no signature: {error}")
        return
    report.signed_by = next(
        (key.text for key in public_keys if key.has_signed(data, signature)), None
    )
    if report.signed_by is None:
        report.find(name, _why_not(signature.public_key, data, stored))


def _why_not(signer: str, data: bytes, stored: bytes) -> str:
    try:
        genuine = PublicKey.parse(signer).has_signed(data, read_signature(stored))
    except ValueError:
        genuine = False
    return (
        f"another key has signed: {signer}"
        if genuine
        else "the signature does not fit the manifest"
    )
