"""Checks of what lies beside the outputs and has no rows in the index, and of what the manifest calls missing."""

from collections.abc import Iterator
from pathlib import Path

from receiver.errors import StorageError
from receiver.layout import manifest_name
from receiver.manifests import Manifest
from receiver.storage import Storage
from workers.account import key_token
from workers.digests import digest_of
from workers.known_input import KnownInput
from workers.verify import Finding


def open_output(storage: Storage, name: str) -> Iterator[bytes] | Finding:
    """An object's bytes in pieces, or why there are none. The name comes from a stored row, which may be anything."""
    if any(part in ("", ".", "..") for part in name.split("/")):
        return Finding(name, None, "this is no name of an output")
    chunks = storage.read_chunks(name)
    return Finding(name, None, "it is not there") if chunks is None else chunks


def check_digest(storage: Storage, name: str, sha256: str) -> Iterator[Finding]:
    """Whether an object is there and has this sha256 (hex)."""
    chunks = open_output(storage, name)
    if isinstance(chunks, Finding):
        yield chunks
        return
    found, _ = digest_of(chunks)
    if found != sha256:
        yield Finding(name, None, f"its sha256 is {found}, the manifest says {sha256}")


def check_records(storage: Storage, manifest: Manifest) -> Iterator[Finding]:
    """What the manifest itself has the sha256 of, the index aside."""
    for record in (manifest.input, manifest.retry, *manifest.oversize):
        if record is not None:
            yield from check_digest(storage, record.name, record.sha256)


def judge_missing(storage: Storage, manifest: Manifest, scratch: Path, came: set[str | bytes]) -> Iterator[Finding]:
    """The keys of the input that no row of the index has are those that the manifest calls missing."""
    batch_id = manifest.batch.removeprefix("batches/")
    try:
        known = KnownInput.fetch(storage, batch_id, scratch, lambda: None, manifest.result_key or "")
    except StorageError as error:
        if error.retryable:
            raise
        yield Finding(manifest_name(batch_id), None, str(error))
        return
    asked = manifest.input
    if known is None or asked is None or known.about.sha256 != asked.sha256:
        return  # named by its digest
    if known.about.requests != asked.requests:
        message = f"it says {asked.requests} requests of the input, there are {known.about.requests}"
        yield Finding(manifest_name(batch_id), None, message)
    missing = dict.fromkeys(key for key in known.keys() if key_token(key) not in came)  # noqa: SIM118 - no mapping
    if list(missing) != manifest.missing_keys:
        said = f"it names {len(manifest.missing_keys)} missing keys, input and index leave {len(missing)}"
        yield Finding(manifest_name(batch_id), None, f"{said}, and they are not the same")
