"""Plans a round of a large submission, and proves it; prints the peak of its memory in KiB.

python -m tests.workers.submissions.million FOLDER REQUESTS
"""

import gzip
import resource
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from receiver.outputs.paths import index_name, retry_name
from receiver.storage import LocalStorage
from receiver.submissions.decisions import PlanRound
from receiver.submissions.gauges import Gauge, assume_rates
from receiver.submissions.policy import Policy
from receiver.submissions.records import SubmissionRecords, requests_name
from receiver.submissions.splitting import PartCutter, PartLimits
from receiver.submissions.state import PartState, SubmissionState
from receiver.submissions.submission import Part, Submission, SubmissionSpec
from tests.receiver.records import put_manifest
from workers.submissions.finishing import write_proof
from workers.submissions.part_results import Reading
from workers.submissions.rounds import write_round

ROW = (
    b'{"line":%d,"key":"request-%d","outcome":"%b","object":"b1/request-%d.json","offset":0,'
    b'"length":333,"sha256":"%b"}\n'
)
FAILS = 10  # one of so many


def ask(requests: int) -> Iterator[bytes]:
    text = b"x" * 100
    for number in range(requests):
        yield b'{"key":"request-%d","request":{"contents":[{"parts":[{"text":"%b"}]}]}}\n' % (
            number,
            text,
        )


def rows(requests: int) -> Iterator[bytes]:
    for number in range(requests):
        outcome = b"ok" if number % FAILS else b"error"
        yield ROW % (number + 1, number, outcome, number, b"ab" * 32)


def put_lines(storage: LocalStorage, folder: Path, name: str, lines: Iterator[bytes]) -> None:
    path = folder / "lines"
    with path.open("wb") as file:
        if name.endswith(".gz"):
            with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1) as packed:
                for line in lines:
                    packed.write(line)
        else:
            file.writelines(lines)
    storage.put_files([(name, path)])


def store_submission(storage: LocalStorage, folder: Path, requests: int) -> SubmissionState:
    """One part, of which every tenth request failed and may succeed."""
    digest, size = sha256(), 0
    for line in ask(requests):
        digest.update(line)
        size += len(line)
    part = Part(1, 1, 0, size, requests, digest.hexdigest())
    put_lines(storage, folder, requests_name(part.sha256), ask(requests))
    put_lines(storage, folder, index_name("b1"), rows(requests))
    again = (b'{"key":"request-%d"}\n' % number for number in range(0, requests, FAILS))
    put_lines(storage, folder, retry_name("b1"), again)
    put_manifest(storage, "batches/b1", index={"name": index_name("b1"), "sha256": "0"})
    spec = SubmissionSpec("", "m", "generate", False, "e", True, None, {}, None, part.sha256)
    submission = Submission(spec.id, spec, "asked.jsonl", requests, (part,))
    SubmissionRecords(storage, spec.id).settle_plan(submission)
    parts = (PartState(part=part, batch="batches/b1", is_stored=True),)
    return SubmissionState(submission=submission, policy=Policy(), parts=parts)


def main(folder: Path, requests: int) -> None:
    storage = LocalStorage(folder / "outputs")
    state = store_submission(storage, folder, requests)
    cutter = PartCutter(PartLimits(), Gauge("generate", assume_rates()), first_number=2, of_round=1)
    for name in ("plan", "proof"):
        (folder / name).mkdir()
    action = PlanRound(1, is_rescue=False, may_send=True)
    write_round(Reading(storage, folder / "plan", lambda: None), state, action, cutter)
    (planned,) = SubmissionRecords(storage, state.submission.id).rounds()
    assert planned.parts[0].requests == requests // FAILS
    manifest = write_proof(Reading(storage, folder / "proof", lambda: None), state, None, None)
    assert (manifest.answered, manifest.balanced) == (requests - requests // FAILS, True)
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
