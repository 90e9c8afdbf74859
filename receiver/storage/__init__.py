"""Where outputs are kept, chosen by STORAGE_URL. Names are paths below its root, with `/`."""

from urllib.parse import urlsplit

from receiver.storage.local import LocalStorage, local_root
from receiver.storage.object_store import ObjectStorage
from receiver.storage.protocol import Storage

__all__ = ["LocalStorage", "ObjectStorage", "Storage", "describe_location", "open_storage"]


def open_storage(url: str) -> Storage:
    """The storage behind a URL. Raises StorageError when it can't be used as it stands."""
    if url.startswith("file:"):
        return LocalStorage(local_root(url))
    return ObjectStorage.open(url)


def describe_location(url: str, name: str = "") -> str:
    """Where outputs are, or an object or folder below: an absolute path, or the URL of a bucket.

    >>> describe_location("s3://bucket/prefix/", "abc/_manifest.json")
    's3://bucket/prefix/abc/_manifest.json'
    """
    if url.startswith("file:"):
        return str(local_root(url) / name)
    parts = urlsplit(url)
    root = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")
    return f"{root}/{name}".rstrip("/")
