"""Where outputs are kept, chosen by STORAGE_URL. Names are paths below its root, with `/`."""

from receiver.storage.local import LocalStorage, local_root
from receiver.storage.protocol import Lot, Storage

__all__ = ["LocalStorage", "Lot", "Storage", "open_storage"]


def open_storage(url: str) -> Storage:
    """The storage behind a URL. Raises StorageError when it can't be used as it stands."""
    if url.startswith("file:"):
        return LocalStorage(local_root(url))
    # obstore takes 4 MiB, for which a folder has no use.
    from receiver.storage.object_store import ObjectStorage  # noqa: PLC0415

    return ObjectStorage.open(url)
