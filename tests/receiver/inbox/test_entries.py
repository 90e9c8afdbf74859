"""Which burials may pass; those of the version before are known by their causes."""

import pytest

from receiver.inbox.entries import Entry, State, may_pass
from receiver.inbox.entry_fields import Summary

OLD_CAUSES = (
    "Gemini did not give batches/x (503 UNAVAILABLE: try again)",
    "Gemini did not give batches/x (204 No Content)",
    "Gemini knows no batches/x for this API key (404 NOT_FOUND: no such batch)",
    "Gemini refused files/batch-x (403 PERMISSION_DENIED: no): check that GEMINI_API_KEY is right; the result file …",
    "Gemini redirected batches/x to another origin; the API key does not follow there",
    "Gemini's answer on batches/x has an unexpected form: JSON is malformed",
    "Gemini says SUCCEEDED but does not name the results yet",
    "no answer from Gemini for batches/x: ConnectError('refused')",
    "the download of files/batch-x broke at byte 0: ReadTimeout",
    "files/batch-x changed while it was read, before byte 9: it must be read anew from its first byte",
    "the storage did not write x/a.json: No space left on device: free some space; it is tried again by itself",
    "the storage did not look for x/_manifest.json: Input/output error: check the disk; it is tried again by itself",
    "STORAGE_URL can't be used: /mnt/x: Permission denied: check its permissions",
    "/tmp did not hold the results on their way to the storage: No space left on device: free some space",
    "the project acme is not known here, only default: set GEMINI_API_KEY__ACME and restart",
)
LASTING_CAUSES = (
    "by hand",
    "by hand, on the status page",
    "Gemini says nonsense",
    "Gemini is wrong",
    "its worker died 5 times while it held this batch",
    "the process of its job was killed by SIGKILL: out of memory?",
    "unexpected KeyError: 'x'",
    "the job took longer than its time limit",
    "x/_input.jsonl.gz is no whole gzip file: store it again or delete it, then replay the batch",
)


def entry(cause: str, fault: str = "", state: State = "buried") -> Entry:
    return Entry(
        "batches/x",
        "",
        state,
        "batch.succeeded",
        "static",
        0,
        0,
        0,
        0,
        cause,
        Summary(),
        {},
        None,
        (),
        fault=fault,
    )


@pytest.mark.parametrize("cause", OLD_CAUSES)
def test_outages_of_the_version_before_may_pass(cause: str) -> None:
    assert may_pass(entry(cause))


@pytest.mark.parametrize("cause", LASTING_CAUSES)
def test_crashes_and_what_was_done_by_hand_stay(cause: str) -> None:
    assert not may_pass(entry(cause))


@pytest.mark.parametrize(
    ("fault", "passes"), [("outside", True), ("refused", True), ("batch", False), ("person", False)]
)
def test_a_fault_that_was_kept_decides(fault: str, *, passes: bool) -> None:
    assert may_pass(entry("no answer from Gemini for batches/x: …", fault)) is passes


def test_only_buried_batches_are_meant() -> None:
    assert not may_pass(entry(OLD_CAUSES[0], "outside", "open"))
