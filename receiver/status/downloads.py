"""What can be downloaded of a stored batch: objects beside its outputs."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from receiver.batch_names import BatchName
from receiver.outputs.manifest import FormsRecord, Manifest
from receiver.outputs.outcomes import ERROR_FILE
from receiver.outputs.paths import errors_name, input_name, manifest_name, retry_name, table_name
from receiver.storage import Storage

MAX_BYTES = 32 * 1024 * 1024  # that go through the web process; an answer may take 30 seconds
LINK_SECONDS = 300
TABLE_ENDINGS = (".parquet", ".jsonl.gz")


@dataclass(frozen=True)
class Download:
    """One object."""

    object: str  # from the storage root
    file_name: str
    size_bytes: int
    link: str | None  # under which the storage itself gives it to anybody, for minutes


def list_downloads(manifest: Manifest) -> dict[str, str]:
    """What there is of a batch, and what it is called."""
    found = {}
    if any(manifest.outcomes.get(outcome) for outcome in ERROR_FILE):
        found["errors"] = "errors"
    if isinstance(manifest.forms, FormsRecord) and manifest.forms.objects.get("table"):
        found["table"] = "table"
    if manifest.input is not None:
        found["requests"] = "requests"
    if manifest.retry is not None:
        found["retry"] = "what can be sent again"
    return found | {"manifest": "manifest"}


def find_download(storage: Storage, batch: str, what: str) -> Download | None:
    """An object by its kind, one of `list_downloads`; None where it is not there.

    Raises StorageError.
    """
    for name in _names_of(batch, what):
        size = storage.size_of(name)
        if size is not None:
            file_name = f"{BatchName.read(batch).id}{name.rpartition('/')[2]}"
            return Download(name, file_name, size, storage.sign(name, LINK_SECONDS))
    return None


def _names_of(batch: str, what: str) -> list[str]:
    match what:
        case "errors":
            return [errors_name(batch)]
        case "retry":
            return [retry_name(batch)]
        case "requests":
            return [input_name(batch)]
        case "manifest":
            return [manifest_name(batch)]
        case "table":
            return [f"{table_name(batch)}{ending}" for ending in TABLE_ENDINGS]
        case _:
            return []


def is_reachable(link: str, host: str) -> bool:
    """Whether a browser that has a page of ours from this host may reach the link.

    An address over plain http is one inside of a network, unless our page lies there too.
    """
    parts = urlsplit(link)
    return parts.scheme == "https" or parts.hostname == host
