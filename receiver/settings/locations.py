"""Where answers and the inbox are, for people to read: without users, passwords and options."""

from urllib.parse import urlsplit

from receiver.storage.local import local_root


def describe_storage(url: str, name: str = "") -> str:
    """Where outputs are, or an object or folder below: an absolute path, or the URL of a bucket.

    >>> describe_storage("s3://bucket/prefix/", "abc/_manifest.json")
    's3://bucket/prefix/abc/_manifest.json'
    """
    if url.startswith("file:"):
        return str(local_root(url) / name)
    root = _without_credentials(url)
    return f"{root.rstrip('/')}/{name}" if name else root


def describe_redis(url: str) -> str:
    """The Redis that REDIS_URL names."""
    return _without_credentials(url)


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
