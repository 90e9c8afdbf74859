"""What the tests of submissions share: one way to submit, and what became of it."""

import gzip
import os
from pathlib import Path
from typing import Any

from receiver.gemini.batches import Gemini
from receiver.storage import LocalStorage
from receiver.submissions.planning import (
    SubmitRequest,
    check_input,
    draft_submission,
    settle_submission,
)
from receiver.submissions.records import SubmissionRecords
from receiver.submissions.submission import Part, Submission
from receiver.submissions.submitter import Callbacks, SentPart, Submitter
from tests.forwarding import Gate

MODEL = "gemini-3.5-flash"


def submit(
    gate: Gate, source: Path, unsure_s: float = 90, model: str = MODEL, **options: Any
) -> list[SentPart]:
    storage, request = LocalStorage(source.parent / "outputs"), SubmitRequest("", model, **options)
    submission, _ = settle_submission(
        storage, source, draft_submission(source, request, check_input(source, request))
    )
    scratch = source.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    with Gemini(gate.url, "right-key") as gemini:
        sender = Submitter(gemini, storage, submission, source, Callbacks(), unsure_s)
        return [sender.send(part, scratch) for part in submission.parts]


def made(gate: Gate) -> int:
    return gate.count("GenerateContent") + gate.count("EmbedContent")


def stored_input(source: Path, sent: SentPart) -> bytes:
    folder = source.parent / "outputs" / sent.batch.removeprefix("batches/")
    return gzip.decompress((folder / "_input.jsonl.gz").read_bytes())


def planned(source: Path, **options: Any) -> tuple[Submission, Part, SubmissionRecords]:
    storage, request = LocalStorage(source.parent / "outputs"), SubmitRequest("", MODEL, **options)
    submission, _ = settle_submission(
        storage, source, draft_submission(source, request, check_input(source, request))
    )
    return submission, submission.parts[0], SubmissionRecords(storage, submission.id)


def sender_of(gemini: Gemini, submission: Submission, source: Path) -> Submitter:
    return Submitter(
        gemini, LocalStorage(source.parent / "outputs"), submission, source, Callbacks()
    )


def settings(gate: Gate, source: Path) -> dict[str, str]:
    outputs = (source.parent / "outputs").as_uri()
    return {
        **os.environ,
        "GEMINI_API_KEY": "right-key",
        "GEMINI_BASE_URL": gate.url,
        "STORAGE_URL": outputs,
    }


def command(source: Path) -> list[str]:
    return ["batches", "submit", str(source), "--model", MODEL]
