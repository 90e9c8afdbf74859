"""The requests of a stored batch that may succeed if they are sent again, as an input of their own.

What was sent again before counts with what became of it: nothing is sent twice that is answered, or
under way.
"""

from pathlib import Path

import msgspec

from receiver.batch_names import BatchName
from receiver.errors import StorageError, SubmissionError
from receiver.outputs.judgement import find_again
from receiver.outputs.manifest import Manifest
from receiver.storage import Storage
from receiver.submissions.again import find_own_rounds
from receiver.submissions.batch_links import read_spec
from receiver.submissions.planning import SubmitRequest
from receiver.submissions.policy import Policy
from receiver.submissions.validation import asks_for_embedding
from workers.submissions.lineage import Lineage, load_sending
from workers.submissions.part_results import Reading, has_requests
from workers.submissions.request_table import RequestTable
from workers.submissions.rounds import find_resent


def write_resent(reading: Reading, manifest: Manifest, target: Path) -> int:
    """Write the requests of a stored batch that may succeed. Returns their number.

    Raises StorageError, and SubmissionError where they are not known, or where its submission sends
    them by itself.
    """
    storage = reading.storage
    if reason := find_own_rounds(storage, manifest.batch):
        raise SubmissionError(reason)
    sendings = Lineage(storage).trace(manifest.batch)
    if not has_requests(reading, sendings[0].state):
        if not find_again(manifest):
            return 0
        words = f"the storage does not hold the requests of {manifest.batch} themselves"
        raise SubmissionError(f"{words}: name their file with --input")

    count = 0
    with RequestTable(reading.scratch) as table, target.open("wb") as lines:
        for one in sendings:
            load_sending(reading, one, table)
        states = tuple(one.state for one in sendings)
        for resent in find_resent(reading, states, Policy(), table):
            _require_our_form(resent.line, manifest.batch)
            lines.write(resent.line)
            count += 1
    return count


def describe_resent(
    storage: Storage, batch: BatchName, requests: Path, model: str, display_name: str | None
) -> SubmitRequest:
    """A submission like the one of the batch, as far as the storage knows that.

    `requests` is what `write_resent` wrote.
    """
    spec = read_spec(storage, batch.gemini)
    with requests.open("rb") as lines:
        is_embedding = asks_for_embedding(lines.readline())
    return SubmitRequest(
        project=batch.project,
        model=model.removeprefix("models/"),
        is_embedding=is_embedding,
        display_name=display_name or f"retry of {batch.id}",
        webhook=spec.webhook if spec else None,
        metadata=spec.metadata if spec else None,
        retry_of=batch.gemini,
        allow_unknown_fields=True,  # Gemini took these requests before
    )


def _require_our_form(line: bytes, batch: str) -> None:
    try:
        request = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError as error:
        raise StorageError(f"a request of {batch} is no JSON: {error}", retryable=False) from error
    if "body" in request and "request" not in request:
        hint = "send its _retry.jsonl with the client that sent it"
        raise SubmissionError(f"{batch} was sent in OpenAI's form: {hint}")
