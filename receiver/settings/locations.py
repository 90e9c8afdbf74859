"""Where answers and the inbox are, for people to read: without users, passwords and options."""

from urllib.parse import urlsplit

from receiver.storage.local import local_root


def describe_storage(url: str) -> str:
    """The absolute path of the folder, or the URL of the bucket, that STORAGE_URL names."""
    return str(local_root(url)) if url.startswith("file:") else _without_credentials(url)


def describe_redis(url: str) -> str:
    """The Redis that REDIS_URL names."""
    return _without_credentials(url)


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
