"""Why results of a stored batch are no answer."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from receiver.cli import main
from receiver.storage import LocalStorage
from receiver.submissions.batch_links import resubmitted_name
from tests import nasty
from tests.workers.storing import GROUPED, PER_KEY, change_manifest, put_input, store

REFUSED = json.dumps(
    {
        "error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "slow\ndown"},
        "key": "de-quota",
    }
).encode()
LINES = [
    nasty.answer("de-1"),
    nasty.failure("de-2", 8),
    nasty.failure('de-"3"', 8),
    nasty.empty("de-blocked", promptFeedback={"blockReason": "SAFETY", "blockReasonMessage": "no"}),
    nasty.answer("de-cut", reason="MAX_TOKENS"),
    REFUSED,
    b"[1]",
    nasty.answer("de-1", "again"),
    nasty.UNKEYED,
]
REQUESTS = len(LINES) - 1  # one key has two lines


@pytest.fixture(params=[PER_KEY, GROUPED], ids=["per key", "grouped"])
def storage(tmp_path: Path, request: pytest.FixtureRequest) -> LocalStorage:
    storage = LocalStorage(tmp_path)
    store(storage, b"\n".join(LINES), REQUESTS + 1, request.param)
    return storage


def run(storage: LocalStorage, *args: str) -> Result:
    environ = {"GEMINI_API_KEY": "k", "STORAGE_URL": storage.root.as_uri()}
    environ["REDIS_URL"] = "redis://127.0.0.1:9/0"
    environ["GEMINI_BASE_URL"] = "http://127.0.0.1:9"
    return CliRunner().invoke(main, args, env=environ)


def errors(storage: LocalStorage, *args: str) -> Result:
    return run(storage, "batches", "errors", *args)


def described(storage: LocalStorage, *args: str) -> dict[str, Any]:
    result = errors(storage, "b1", "--json", *args)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_failures_are_shown_by_kind_and_by_key(storage: LocalStorage) -> None:
    result = errors(storage, "b1")
    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        [
            "count  outcome    code                    first message",
            "    2  error      8 RESOURCE_EXHAUSTED    it broke",
            "    1  blocked                            each line has its own code",
            "    1  truncated                          each line has its own code",
            "    1  error      429 RESOURCE_EXHAUSTED  slow down",
            "    1  malformed  json                    the line is JSON, but not an object",
            "    1  duplicate",
            "    1  unkeyed",
            "",
            "line  key           outcome    code                    message",
            '   2  "de-2"        error      8 RESOURCE_EXHAUSTED    it broke',
            '   3  "de-\\"3\\""    error      8 RESOURCE_EXHAUSTED    it broke',
            '   4  "de-blocked"  blocked    SAFETY                  no',
            '   5  "de-cut"      truncated  MAX_TOKENS',
            '   6  "de-quota"    error      429 RESOURCE_EXHAUSTED  slow down',
            (
                "   7                malformed  json"
                "                    the line is JSON, but not an object"
            ),
            '   8  "de-1"        duplicate',
            "   9                unkeyed",
        ],
    )
    assert result.stderr.splitlines() == [
        "1 request has no result at all: see `batches show`",
        (
            'worth sending again: 3 of 9: "de-2", "de-\\"3\\"", "de-quota";'
            " and what has no result or no key, which only the input tells"
        ),
        (
            "`gemini-batch-receiver resubmit b1 --input FILE` sends again what is worth it,"
            " out of its input"
        ),
    ]


def test_failures_are_there_for_programs(storage: LocalStorage) -> None:
    found = described(storage)
    assert (found["batch"], found["state"], found["error"]) == ("batches/b1", "SUCCEEDED", None)
    assert (found["failed"], found["missing"], found["missing_keys"]) == (8, 1, [])
    assert found["kinds"][0] == {
        "outcome": "error",
        "code": "8",
        "name": "RESOURCE_EXHAUSTED",
        "message": "it broke",
        "count": 2,
    }
    assert sum(kind["count"] for kind in found["kinds"]) == len(found["rows"]) == 8
    row = next(row for row in found["rows"] if row["key"] == "de-quota")
    assert row == {
        "line": 6,
        "key": "de-quota",
        "outcome": "error",
        "code": "429",
        "name": "RESOURCE_EXHAUSTED",
        "message": "slow\ndown",
        "object": "b1/_errors.jsonl",
    }


def test_limit_bounds_the_rows_alone(storage: LocalStorage) -> None:
    whole, few, none = (
        described(storage),
        described(storage, "--limit", "3"),
        described(storage, "--limit", "0"),
    )
    assert [row["line"] for row in few["rows"]] == [2, 3, 4]
    assert none["rows"] == []
    assert whole["kinds"] == few["kinds"] == none["kinds"]
    assert "3 of 8 results shown: raise --limit" in errors(storage, "b1", "--limit", "3").stderr
    assert '"de-2"' not in errors(storage, "b1", "--limit", "0").stdout


def test_other_commands_name_codes_and_this_command(storage: LocalStorage) -> None:
    change_manifest(storage, error={"code": 8, "message": "full"})
    shown = run(storage, "batches", "show", "b1").stdout.splitlines()
    assert "error     8 RESOURCE_EXHAUSTED: full" in shown
    assert (
        shown[-1]
        == "reasons   `gemini-batch-receiver batches errors b1` shows what failed, and why"
    )
    refused = run(storage, "batches", "results", "b1", "de-quota")
    assert refused.stderr == "no answer: error 429 RESOURCE_EXHAUSTED\n"


def test_batch_without_failures_says_so(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    store(storage, nasty.answer("a"), 1)
    result = errors(storage, "batches/b1")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "no result of batches/b1 failed\n"
    assert "reasons" not in run(storage, "batches", "show", "b1").stdout


def test_missing_requests_are_named(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    put_input(storage, b'{"key":"a","request":{}}\n{"key":"\xc3\xa9","request":{}}\n')
    store(storage, nasty.answer("a"), 2)
    said = errors(storage, "b1").stderr
    assert 'worth sending again: 1 of 1: "é"\n' in said
    assert '1 request has no result at all, such as "é": see `batches show`' in said
    assert "`gemini-batch-receiver resubmit b1` sends again what is worth it" in said


def test_what_is_worth_sending_again_is_counted_and_named(tmp_path: Path) -> None:
    """A request that Gemini calls invalid would fail again."""
    storage = LocalStorage(tmp_path)
    keys = ["a", "b", "c"]
    put_input(storage, b"".join(b'{"key":"%s","request":{}}\n' % key.encode() for key in keys))
    lines = [nasty.failure("a", 3), nasty.failure("b", 8), nasty.failure("c", 3)]
    store(storage, b"\n".join(lines), 3)
    assert 'worth sending again: 1 of 3: "b"\n' in errors(storage, "b1").stderr

    other = LocalStorage(tmp_path / "other")
    put_input(other, b'{"key":"a","request":{}}\n')
    store(other, nasty.failure("a", 3), 1)
    assert errors(other, "b1").stderr == "worth sending again: none of 1\n"


def test_batch_without_any_result_is_not_said_to_be_fine(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    store(storage, b"", 2)
    said = errors(storage, "b1").stderr
    assert "no result of batches/b1 failed" not in said
    assert "2 requests have no result at all" in said


def test_keys_can_be_read(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    store(storage, nasty.failure("д/é", 8), 1)
    assert '"д/é"' in errors(storage, "b1").stdout


def test_error_of_the_whole_batch_has_its_name(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    store(storage, b"", 0)
    change_manifest(
        storage, state="FAILED", index=None, error={"code": 13, "message": "all\x1b[2J"}
    )
    result = errors(storage, "b1")
    assert result.stdout == "Gemini's error for the whole batch: 13 INTERNAL: all?[2J\n"
    assert described(storage)["error"] == {"code": 13, "message": "all\x1b[2J", "name": "INTERNAL"}


def test_batch_that_was_sent_again_is_followed(storage: LocalStorage) -> None:
    storage.put_many([(resubmitted_name("b1"), b'["batches/b2"]')])
    said = errors(storage, "b1").stderr
    assert "it was sent again: `gemini-batch-receiver batches merged b1` says what became" in said
    assert "resubmit" not in said


def test_batch_that_is_not_stored_is_said(tmp_path: Path) -> None:
    result = errors(LocalStorage(tmp_path), "b9")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Error: batches/b9 is not stored: Redis did not answer" in result.stderr


def test_damaged_records_are_said(storage: LocalStorage) -> None:
    data = storage.read("b1/_errors.jsonl")
    assert data is not None
    storage.put_many([("b1/_errors.jsonl", data.replace(b"it broke", b"it works"))])
    changed = errors(storage, "b1")
    assert changed.exit_code == 1
    assert "b1/_errors.jsonl has changed since it was written: see `verify`" in changed.stderr
    storage.delete("b1/_errors.jsonl")
    assert "b1/_errors.jsonl is not there" in errors(storage, "b1").stderr


def test_long_and_foreign_text_stays_in_its_column(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    long = {"error": {"code": 3, "message": "m" * 500}, "key": "\ud800" * 100}
    store(storage, json.dumps(long).encode(), 1)
    row = errors(storage, "b1").stdout.splitlines()[-1]
    assert len(row) < 200
    assert row.isascii() is False  # the ellipsis
    assert described(storage)["rows"][0]["key"] == "\ud800" * 100
