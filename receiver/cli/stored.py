"""Stored batches: their manifests, and what to do about those that are incomplete or absent."""

from collections.abc import Sequence

import click

from receiver.batch_names import BatchName
from receiver.cli.output import printable
from receiver.errors import GeminiError, InboxUnavailableError, ManifestError, NotFoundError
from receiver.gemini.project_client import open_client
from receiver.inbox.ledger import Inbox
from receiver.inbox.redis import connect
from receiver.outputs.judgement import Judgement
from receiver.outputs.manifest import Manifest, read_manifest
from receiver.outputs.paths import batch_folder, manifest_name
from receiver.settings.locations import describe_storage
from receiver.settings.settings import Settings
from receiver.storage import Storage


def read_record(storage: Storage, name: str) -> bytes | None:
    """The manifest of a batch as it is stored; None when it is not. Raises StorageError."""
    return storage.read(manifest_name(name))


def load_stored(settings: Settings, storage: Storage, name: str) -> tuple[Manifest, bytes]:
    """The manifest of a stored batch, decoded and as it is stored.

    Raises ClickException, which says what to do, where there is none, and ManifestError.
    """
    data = read_record(storage, name)
    if data is None:
        raise click.ClickException(f"{name} is not stored: {explain_not_stored(settings, name)}")
    return parse_record(name, data), data


def parse_record(name: str, data: bytes) -> Manifest:
    """Decode what `read_record` gave. Raises ManifestError, which names the batch."""
    try:
        return read_manifest(data)
    except ManifestError as error:
        raise ManifestError(f"the manifest of {name} can't be read: {error}") from error


def locate_answers(settings: Settings, template: str, name: str) -> str:
    """Where the answers of a batch are: a path or URL with the fields of OUTPUT_TEMPLATE."""
    return describe_storage(settings.storage_url, template.replace("{batch}", batch_folder(name)))


def advise_next(judgement: Judgement, name: str, followers: Sequence[str]) -> str | None:
    """What to do about a stored batch that is not well; `followers` took its requests over."""
    if judgement.is_well:
        return None
    if followers:
        command = f"gemini-batch-receiver batches merged {BatchName.read(name).short}"
        return f"it was sent again: `{command}` says what became of it"
    return judgement.advice


def explain_not_stored(settings: Settings, name: str) -> str:
    """What the inbox knows of a batch that has no manifest, and what to do."""
    hint = f"`gemini-batch-receiver replay --batch {name}` queues it"
    wait = f"`gemini-batch-receiver batches watch {BatchName.read(name).short}` waits for it"
    try:
        with connect(settings.redis_url) as client:
            entry = Inbox(client).entries([name]).get(name)
    except InboxUnavailableError as error:
        return f"{error}, so it is not known whether it is queued"
    if entry is None:
        return _explain_unknown(settings, name, wait, hint)
    cause = f" ({printable(entry.cause)})" if entry.cause else ""
    match entry.state:
        case "open":
            return f"it is open in the inbox{cause}: a worker takes it when it is due; {wait}"
        case "leased":
            return f"it is leased: a worker processes it now{cause}; {wait}"
        case "buried":
            return f"it is buried after {entry.attempts} attempts{cause}; {hint} again"
        case "done":
            removed = f"the inbox says done, so its manifest was removed; {hint} again"
            return f"it has expired{cause}" if entry.summary.expired else removed


def _explain_unknown(settings: Settings, name: str, wait: str, hint: str) -> str:
    """What Gemini knows of a batch that the inbox does not know, and what to do."""
    unknown = "the inbox does not know it"
    project = settings.projects.get(BatchName.read(name).project)
    try:
        if project is None:
            return f"{unknown}, and its project has no key here"
        with open_client(settings, project) as batches:
            batch = batches.get(name)
    except NotFoundError:
        command = "gemini-batch-receiver batches list"
        return f"neither the inbox nor Gemini knows it: `{command}` shows which there are"
    except GeminiError:
        return f"{unknown}; {wait}, and {hint} if its webhook was missed"
    if not batch.is_terminal:
        return f"it still runs at Gemini ({printable(batch.state)}): {wait}"
    return f"{unknown}, and it has ended at Gemini ({printable(batch.state)}): {hint}"
