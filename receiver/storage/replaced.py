"""Keeps the manifest of a batch that is stored again, with the records that prove it.

They lie in `{batch}/_replaced/<start of the manifest's sha256>/`. Outputs are overwritten under
their names; those that the new manifest no longer names stay where they are, named by the old
index beside the old manifest.
"""

from hashlib import sha256
from pathlib import Path

from receiver.outputs.paths import (
    batch_folder,
    errors_name,
    forms_name,
    index_name,
    manifest_name,
    retry_name,
)
from receiver.storage import Storage

DIGEST_CHARACTERS = 16


def _place(batch: str, manifest: bytes) -> str:
    return f"{replaced_folder(batch)}{sha256(manifest).hexdigest()[:DIGEST_CHARACTERS]}"


def set_aside(storage: Storage, batch: str, manifest: bytes, scratch: Path) -> None:
    """Copy a stored manifest and its records, the manifest last.

    Once it is there, the records beside it are its own. Raises StorageError.
    """
    place, copy = _place(batch, manifest), scratch / "aside"
    target = f"{place}/{_file_of(manifest_name(batch))}"
    if storage.exists(target):
        return
    for name in (
        index_name(batch),
        errors_name(batch),
        retry_name(batch),
        forms_name(batch),
    ):
        if storage.read_to_file(name, copy):
            storage.put_files([(f"{place}/{_file_of(name)}", copy)])
    storage.put_many([(target, manifest)])


def replaced_folder(batch: str) -> str:
    """Where everything lies that was set aside, with a slash at its end."""
    return f"{batch_folder(batch)}/_replaced/"


def find_replaced(storage: Storage, batch: str, current: bytes) -> list[str]:
    """Names of the manifests that the current one took the place of. Raises StorageError."""
    ending, own = f"/{_file_of(manifest_name(batch))}", _place(batch, current)
    names = storage.list_names(replaced_folder(batch).removesuffix("/"))
    return [name for name in names if name.endswith(ending) and not name.startswith(f"{own}/")]


def _file_of(name: str) -> str:
    return name.rpartition("/")[2]
