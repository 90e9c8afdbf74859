"""Deletes batches at Gemini, and their inputs: nothing that the storage does not hold."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile

from receiver.batch_names import BatchName
from receiver.errors import GeminiError, ManifestError, NotFoundError
from receiver.gemini.files import FILE_NAME, File, Files
from receiver.gemini.operations import Batch, Unread, is_older
from receiver.gemini.project_client import ProjectClient
from receiver.outputs.manifest import Manifest, read_manifest
from receiver.outputs.paths import manifest_name
from receiver.storage import Storage

UPLOADED = "UPLOADED"
GONE = frozenset({403, 404})  # a file that is missing, has expired or is somebody else's
# A day over what Gemini says: no older batch can need a file that is still there.
INPUTS_LIVE = timedelta(days=3)


@dataclass(frozen=True)
class Deletion:
    """What deleting one batch would do."""

    batch: str  # its name in the inbox
    refusal: str = ""  # why it stays
    is_listed: bool = True  # whether Gemini still has it
    input: File | None = None  # is deleted with it
    kept_input: str = ""  # why its input does not


class BatchDeleter:
    """One project's batches at Gemini. Calls raise GeminiError, and `plan` StorageError too."""

    def __init__(self, batches: ProjectClient, storage: Storage) -> None:
        self._batches, self._storage = batches, storage
        self._needed: dict[str, str] | None = None  # input files of unfinished batches
        self._unread: Unread | None = None  # a listed one that may need any of them

    def plan(self, name: str, *, force: bool) -> Deletion:
        """Decide on a batch. `force` also deletes one whose counts don't add up."""
        deletion = Deletion(name, refusal=self._judge_record(name, force=force))
        if deletion.refusal:
            return deletion
        try:
            batch = self._batches.get(name)
        except NotFoundError:
            return replace(deletion, is_listed=False)
        if not batch.is_terminal:
            return replace(
                deletion,
                refusal=f"Gemini says {batch.state}: `batches cancel {name}` stops it first",
            )
        return self._plan_input(deletion, batch)

    def _judge_record(self, name: str, *, force: bool) -> str:
        data = self._storage.read(manifest_name(name))
        if data is None:
            return "it is not stored"
        try:
            manifest = read_manifest(data)
        except ManifestError as error:
            return f"its manifest can't be read: {error}"
        if manifest.batch != BatchName.read(name).gemini:
            return f"its manifest is that of {manifest.batch}"
        if manifest.index is not None and not self._storage.exists(manifest.index.name):
            return f"{manifest.index.name} is not in the storage"
        return "" if force else _judge_counts(manifest)

    def _plan_input(self, deletion: Deletion, batch: Batch) -> Deletion:
        name = batch.input_file
        if name is None or not FILE_NAME.fullmatch(name):
            return deletion
        try:
            file = self._batches.files.get(name)
        except GeminiError as error:
            if error.status in GONE:
                return deletion
            raise
        if file.source != UPLOADED:
            return replace(deletion, kept_input=f"{name} was not uploaded, but is {file.source}")
        if user := self._needed_inputs().get(name):
            return replace(deletion, kept_input=f"{user} still needs {name}")
        if self._unread is not None:
            batch_name = self._unread.name or "a batch without a name"
            return replace(deletion, kept_input=f"{batch_name} may need {name}: it can't be read")
        return replace(deletion, input=file)

    def _needed_inputs(self) -> dict[str, str]:
        if self._needed is None:
            oldest = (datetime.now(UTC) - INPUTS_LIVE).strftime("%Y-%m-%dT%H:%M:%S")
            self._needed = {}
            for one in takewhile(lambda one: not is_older(one, oldest), self._batches.list()):
                if isinstance(one, Unread):
                    self._unread = one
                elif one.input_file and not one.is_terminal:
                    self._needed[one.input_file] = one.name
        return self._needed

    def delete(self, deletion: Deletion) -> None:
        """Delete at Gemini: the input first, since only the batch knows its name."""
        if deletion.input is not None:
            _delete_file(self._batches.files, deletion.input.name)
        if deletion.is_listed:
            self._batches.delete(deletion.batch)


def _judge_counts(manifest: Manifest) -> str:
    if isinstance(manifest.source.doubted, str):
        hint = "`replay --again` asks anew, --force deletes it"
        return f"its results look wrong ({manifest.source.doubted}): {hint}"
    if manifest.balanced:
        return ""
    unknown = "nobody knows how many requests there were"
    problem = unknown if manifest.balanced is None else "its counts don't add up"
    return f"{problem}: look at `batches show`, or delete it with --force"


def _delete_file(files: Files, name: str) -> None:
    try:
        files.delete(name)
    except GeminiError as error:
        if error.status not in GONE:  # another batch of the same input was deleted before
            raise
