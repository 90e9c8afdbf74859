"""The requests of a stored batch that may succeed if they are sent again, as an input of their own.

What was sent again before counts with what became of it: nothing is sent twice that is answered, or
under way.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from receiver.batch_names import BatchName
from receiver.errors import StorageError, SubmissionError
from receiver.outputs.judgement import find_again
from receiver.outputs.manifest import Manifest
from receiver.storage import Storage
from receiver.submissions.batch_links import read_origin
from receiver.submissions.policy import Policy
from receiver.submissions.records import SubmissionRecords
from workers.submissions.lineage import Lineage, load_sending
from workers.submissions.part_results import Reading, has_requests
from workers.submissions.request_table import RequestTable
from workers.submissions.rounds import find_resent


def write_resent(
    storage: Storage, manifest: Manifest, target: Path, scratch: Path, asked: Path | None = None
) -> int:
    """Write the requests of a stored batch that may succeed. Returns their number.

    `asked` is a file with its requests, where the storage does not have them. Raises StorageError,
    and SubmissionError where they are not known, or where its submission sends them by itself.
    """
    _refuse_while_under_way(storage, manifest.batch)
    sendings = Lineage(storage).trace(manifest.batch)
    given: Mapping[int, Path] = {} if asked is None else {1: asked}
    reading = Reading(storage, scratch, lambda: None, given)
    if not has_requests(reading, sendings[0].state):
        if not find_again(manifest):
            return 0
        words = f"the storage does not hold the requests of {manifest.batch} themselves"
        raise SubmissionError(f"{words}: name their file with --input")

    count = 0
    with RequestTable(scratch) as table, target.open("wb") as lines:
        for one in sendings:
            load_sending(reading, one, table)
        states = tuple(one.state for one in sendings)
        for resent in find_resent(reading, states, Policy(), table):
            _require_our_form(resent.line, manifest.batch)
            lines.write(resent.line)
            count += 1
    return count


def _refuse_while_under_way(storage: Storage, batch: str) -> None:
    origin = read_origin(storage, batch)
    if origin is None:
        return
    records = SubmissionRecords(storage, origin.submission)
    policy, ended = records.read_policy(), records.read_manifest()
    sends_again = policy.rounds > 0 or policy.rescue_after_s is not None
    if sends_again and (ended is None or ended.ordered_at != records.read_order().at):
        short, program = BatchName.read(batch).short, "gemini-batch-receiver"
        raise SubmissionError(
            f"{short} is of a submission that sends again by itself what may succeed, until it has"
            f" ended: `{program} submissions show {origin.submission}` says how far it is"
        )


def _require_our_form(line: bytes, batch: str) -> None:
    try:
        request = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError as error:
        raise StorageError(f"a request of {batch} is no JSON: {error}", retryable=False) from error
    if "body" in request and "request" not in request:
        hint = "send its _retry.jsonl with the client that sent it"
        raise SubmissionError(f"{batch} was sent in OpenAI's form: {hint}")
