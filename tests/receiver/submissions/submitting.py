"""What the tests of submissions share: one way to submit, and what became of it."""

import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from click.testing import Result

from receiver.errors import StepPendingError
from receiver.gemini.batches import Gemini
from receiver.storage import LocalStorage
from receiver.submissions.planning import (
    SubmitRequest,
    check_input,
    draft_submission,
    settle_submission,
)
from receiver.submissions.records import SubmissionRecords
from receiver.submissions.stored_requests import store_requests
from receiver.submissions.submission import Part, Submission
from receiver.submissions.submitter import SentPart, Submitter
from tests.commands import invoke
from tests.forwarding import Gate

MODEL = "gemini-3.5-flash"


def submit(
    gate: Gate, source: Path, unsure_s: float = 90, model: str = MODEL, **options: Any
) -> list[SentPart]:
    """What `batches submit` and the worker after it do, in one process."""
    submission, _, _ = planned(source, model, **options)
    storage = LocalStorage(source.parent / "outputs")
    with Gemini(gate.url, "right-key") as gemini:
        sender = Submitter(gemini, storage, submission, unsure_s=unsure_s)
        return [send(sender, part, source) for part in submission.parts]


def send(sender: Submitter, part: Part, source: Path) -> SentPart:
    """Send one part, and come back for it as often as a worker would."""
    scratch = source.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    while True:
        try:
            return sender.send(part, scratch)
        except StepPendingError as error:
            time.sleep(min(error.delay_s, 0.1))


def made(gate: Gate) -> int:
    return gate.count("GenerateContent") + gate.count("EmbedContent")


def stored_input(source: Path, sent: SentPart) -> bytes:
    folder = source.parent / "outputs" / sent.batch.removeprefix("batches/")
    return gzip.decompress((folder / "_input.jsonl.gz").read_bytes())


def settled(source: Path, model: str = MODEL, **options: Any) -> Submission:
    """Its plan is in the storage, its requests are not."""
    storage, request = LocalStorage(source.parent / "outputs"), SubmitRequest("", model, **options)
    return settle_submission(
        storage, source, draft_submission(source, request, check_input(source, request))
    )[0]


def planned(
    source: Path, model: str = MODEL, **options: Any
) -> tuple[Submission, Part, SubmissionRecords]:
    """Its plan and its requests are in the storage."""
    storage, submission = LocalStorage(source.parent / "outputs"), settled(source, model, **options)
    store_requests(storage, source, submission)
    return submission, submission.parts[0], SubmissionRecords(storage, submission.id)


def sender_of(gemini: Gemini, submission: Submission, source: Path) -> Submitter:
    return Submitter(gemini, LocalStorage(source.parent / "outputs"), submission)


def settings(gate: Gate, source: Path, redis_url: str) -> dict[str, str]:
    outputs = (source.parent / "outputs").as_uri()
    return {
        **os.environ,
        "GEMINI_API_KEY": "right-key",
        "GEMINI_BASE_URL": gate.url,
        "STORAGE_URL": outputs,
        "REDIS_URL": redis_url,
        "RECONCILE_INTERVAL_S": "0",
    }


def command(source: Path) -> list[str]:
    return ["batches", "submit", str(source), "--model", MODEL]


def run(environ: Mapping[str, str], *args: str, code: int = 0) -> Result:
    """A command that ends with this exit code, in this process."""
    done = invoke(environ, *args)
    assert done.exit_code == code, done.output
    return done


def work(environ: Mapping[str, str]) -> None:
    """A worker does all that can be done now, in a process of its own."""
    argv = [sys.executable, "-m", "workers", "worker", "--burst"]
    subprocess.run(argv, env=dict(environ), capture_output=True, timeout=90, check=True)


def created(source: Path) -> list[str]:
    """The batches of all submissions, by part."""
    found = (source.parent / "outputs" / "_submissions").glob("*/*.created.json")
    return [json.loads(path.read_bytes())["batch"] for path in sorted(found)]
