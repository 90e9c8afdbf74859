"""What became of the requests of a batch that were sent again: one view over it and the batches that followed."""

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from receiver.errors import StorageError, SubmissionError
from receiver.layout import manifest_name, retry_name
from receiver.manifests import Manifest, read_manifest
from receiver.outcomes import Outcome
from receiver.storage import Storage
from receiver.submissions.records import read_resubmitted
from workers.known_input import KnownInput, read_key
from workers.stored_index import read_index

ANSWERS = frozenset({Outcome.OK.value, Outcome.BLOCKED.value, Outcome.TRUNCATED.value, Outcome.EMPTY.value})


class Fate(msgspec.Struct, frozen=True):
    """What became of one request that was sent again."""

    key: str
    batch: str  # "batches/<id>": the last one that it went into
    outcome: str | None  # there; None while that batch is not stored, or where no line carries the key
    object: str | None  # from the storage root


class Followed(msgspec.Struct):
    """One batch of the view."""

    batch: str
    stored: bool
    requests: int = 0  # the first batch's all; a later one's those that it took over
    answered: int = 0
    sent_again: int = 0


@dataclass
class View:
    """A batch and all that followed it, in the order in which they were sent."""

    batches: list[Followed] = field(default_factory=list)
    fates: dict[str, Fate] = field(default_factory=dict)  # by key: the requests that were sent again

    @property
    def requests(self) -> int:
        return self.batches[0].requests

    @property
    def answered(self) -> int:
        return self.batches[0].answered + sum(fate.outcome in ANSWERS for fate in self.fates.values())


def view_retries(storage: Storage, batch_id: str) -> View:
    """Follow a stored batch through everything that took its requests over. Raises StorageError."""
    manifest = load_manifest(storage, batch_id)
    if manifest is None:
        raise StorageError(f"batches/{batch_id} is not stored yet", retryable=False)
    outcomes = manifest.outcomes
    requests = sum(outcomes.values()) + (manifest.missing or 0) if manifest.requests is None else manifest.requests
    answered = sum(outcomes.get(one, 0) for one in ANSWERS)
    view = View([Followed(f"batches/{batch_id}", stored=True, requests=requests, answered=answered)])
    _follow(storage, batch_id, view, view.batches[0])
    return view


def _follow(storage: Storage, batch_id: str, view: View, before: Followed) -> None:
    for name in read_resubmitted(storage, batch_id):
        if any(one.batch == name for one in view.batches):
            continue
        next_id = name.removeprefix("batches/")
        manifest = load_manifest(storage, next_id)
        followed = Followed(name, stored=manifest is not None)
        view.batches.append(followed)
        _add_fates(storage, next_id, view, followed)
        before.sent_again += followed.requests
        _follow(storage, next_id, view, followed)


def _add_fates(storage: Storage, batch_id: str, view: View, followed: Followed) -> None:
    for key in _input_keys(storage, batch_id):
        followed.requests += 1
        if key not in view.fates or view.fates[key].outcome not in ANSWERS:
            view.fates[key] = Fate(key, followed.batch, None, None)
    if not followed.stored:
        return
    with tempfile.TemporaryDirectory(prefix="gbr-") as folder:
        for row in read_index(storage, batch_id, Path(folder)):
            if row.key in view.fates and row.outcome != Outcome.DUPLICATE:
                view.fates[row.key] = Fate(row.key, followed.batch, row.outcome, row.object)
                followed.answered += row.outcome in ANSWERS


def _input_keys(storage: Storage, batch_id: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="gbr-") as folder:
        known = KnownInput.fetch(storage, batch_id, Path(folder), lambda: None, _result_key(storage, batch_id))
        if known is not None:
            yield from known.keys()


def _result_key(storage: Storage, batch_id: str) -> str:
    """RESULT_KEY as the batch was stored with it."""
    manifest = load_manifest(storage, batch_id)
    return (manifest.result_key or "") if manifest is not None else ""


def load_manifest(storage: Storage, batch_id: str) -> Manifest | None:
    """The manifest; None when the batch is not stored."""
    data = storage.read(manifest_name(batch_id))
    return None if data is None else read_manifest(data)


def write_retries(storage: Storage, batch_id: str, target: Path, asked: Path | None) -> int:
    """Write the requests of a stored batch that are worth sending again as an input. Gives how many they are.

    `asked` is the input of the batch where the storage does not know it: then those that no line of the results carries
    are worth it too. Raises SubmissionError where the requests themselves are not known.
    """
    with tempfile.TemporaryDirectory(prefix="gbr-") as folder:
        path = Path(folder) / "retry"
        if not storage.read_to_file(retry_name(batch_id), path):
            return 0
        if asked is None:
            return _copy_whole(path, target, batch_id)
        with path.open("rb") as rows:
            again = {str(json.loads(row)["key"]) for row in rows}
        came = {row.key for row in read_index(storage, batch_id, Path(folder))}
    result_key = _result_key(storage, batch_id)
    return _select(asked, target, result_key, lambda key: key in again or key not in came)


def _copy_whole(path: Path, target: Path, batch_id: str) -> int:
    count = 0
    with path.open("rb") as rows, target.open("wb") as lines:
        for row in rows:
            request = json.loads(row)
            if "body" in request and "request" not in request:
                raise SubmissionError(
                    f"batches/{batch_id} was sent in OpenAI's form: send its _retry.jsonl with the client that sent it"
                )
            if "request" not in request:
                raise SubmissionError(
                    f"only the keys of batches/{batch_id}'s requests are in the storage: name their file with --input"
                )
            lines.write(row)
            count += 1
    return count


def _select(asked: Path, target: Path, result_key: str, is_wanted: Callable[[str], bool]) -> int:
    count = 0
    with asked.open("rb") as lines, target.open("wb") as chosen:
        for line in lines:
            key = read_key(line, result_key)
            if key is not None and is_wanted(key):
                chosen.write(line if line.endswith(b"\n") else line + b"\n")
                count += 1
    return count
