"""What went wrong with a disk or a bucket, in words and with what to do about it.

No text holds a secret: a bucket server's answer may.
"""

import errno
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from receiver.errors import Fault, StorageError

CODE = re.compile(r"<Code>(\w{1,60})</Code>")
BODY = re.compile(r": *(<\?xml|<|\{).*$")  # of the server's answer; it may repeat an access key
MISSING_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound"})
# The bucket or the disk refuses the object's name alone: another one would be taken.
NAME_CODES = frozenset({"KeyTooLongError", "KeyTooLong", "InvalidObjectName"})
NAME_ERRNOS = frozenset({errno.ENAMETOOLONG, errno.EILSEQ, errno.EISDIR})

# What it asks the machine that it runs on, for want of credentials
TOKEN_SIGNS = ("token request", "/latest/api/token", "169.254.169.254")

AGAIN = "a worker tries again by itself, a command must be run again"
_DISK_HINTS = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space or raise the quota",
    errno.EIO: "check the disk",
    errno.EFBIG: "raise the limit on the size of a file (ulimit -f)",
    errno.EROFS: "mount it for writing",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "raise the system's limit on open files",
    errno.EACCES: "check its permissions",
    errno.EPERM: "check its permissions",
}


class Platform(NamedTuple):
    """The environment variables of a platform, as hints name them."""

    prefix: str
    credentials: str
    allow_http: str = "the setting that allows http"
    is_http_allowed: bool = False  # without a setting


S3 = Platform("AWS_", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", "AWS_ALLOW_HTTP")
GCS = Platform("GOOGLE_", "GOOGLE_APPLICATION_CREDENTIALS", is_http_allowed=True)
AZURE = Platform(
    "AZURE_", "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY", "AZURE_ALLOW_HTTP"
)
PLATFORMS = {
    "s3": S3,
    "s3a": S3,
    "gs": GCS,
    "az": AZURE,
    "azure": AZURE,
    "adl": AZURE,
    "abfs": AZURE,
    "abfss": AZURE,
}
OTHER = Platform("", "the credentials")


def explain_os_error(error: OSError) -> str:
    """What happened on a disk and what to do about it."""
    hint = _DISK_HINTS.get(error.errno or 0, "check the folder and its permissions")
    return f"{error.strerror or error}: {hint}"


def disk_error(action: str, name: str, error: OSError) -> StorageError:
    """It says "the storage did not <action> <name>: …"."""
    fault: Fault = "batch" if error.errno in NAME_ERRNOS else "outside"
    words = f"the storage did not {action} {name}: {explain_os_error(error)}; {AGAIN}"
    return StorageError(words, fault=fault)


@contextmanager
def translate_os_errors(action: str, name: str) -> Iterator[None]:
    """Raise OSError as `disk_error`."""
    try:
        yield
    except OSError as error:
        raise disk_error(action, name, error) from error


def name_together(names: Sequence[str]) -> str:
    return f"{names[0]} and {len(names) - 1} more" if names else ""


def platform_of(url: str) -> Platform:
    return PLATFORMS.get(url.partition(":")[0], OTHER)


def _code(error: BaseException) -> str:
    found = CODE.search(str(error))
    return found[1] if found else ""


def is_missing_bucket(error: BaseException) -> bool:
    """Not the object is missing but the bucket: nothing can be said to be absent then."""
    return _code(error) in MISSING_BUCKET


def first_line(error: BaseException) -> str:
    return BODY.sub("", str(error).strip().split("\n", 1)[0])[:300].rstrip(": ")


def _hint(error: BaseException, platform: Platform) -> str:
    text = str(error)
    if is_missing_bucket(error):
        return "create the bucket that STORAGE_URL names, or correct the name"
    if any(sign in text for sign in TOKEN_SIGNS):
        return f"no credentials were found: set {platform.credentials}"
    if "status code: 403" in text or "status code: 401" in text:
        policy = "the bucket's policy lets them read, write, list and delete"
        return f"check {platform.credentials}, and that {policy}"
    if "builder error" in text:
        return f"an endpoint without TLS needs {platform.allow_http}=true"
    if "error sending request" in text:
        return f"check that its address can be reached; {AGAIN}"
    return ""


def unusable_error(error: BaseException, platform: Platform) -> StorageError:
    hint = f"check STORAGE_URL and {platform.credentials}"
    return StorageError(f"STORAGE_URL can't be used: {first_line(error)}: {hint}", retryable=False)


def bucket_error(what: str, name: str, error: BaseException, platform: Platform) -> StorageError:
    said = [
        f"the storage did not {what} {name}",
        first_line(error),
        _code(error),
        _hint(error, platform),
    ]
    words = ": ".join(part for part in said if part)
    return StorageError(words, fault="batch" if _code(error) in NAME_CODES else "outside")
