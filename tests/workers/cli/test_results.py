"""Answers one by one, from a batch with everything in it that has a name."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from receiver.cli import main
from receiver.outputs.paths import index_name, manifest_name
from receiver.storage import LocalStorage
from tests import nasty
from tests.workers.storing import GROUPED, PER_KEY, put_input, store


@pytest.fixture(params=[PER_KEY, GROUPED], ids=["per key", "grouped"])
def storage(tmp_path: Path, request: pytest.FixtureRequest) -> LocalStorage:
    storage = LocalStorage(tmp_path)
    store(storage, nasty.FILE, nasty.REQUESTS + 1, request.param)
    return storage


def results(storage: LocalStorage, *args: str) -> Result:
    environ = {
        "GEMINI_API_KEY": "k",
        "STORAGE_URL": storage.root.as_uri(),
        "REDIS_URL": "redis://127.0.0.1:9/0",
        "GEMINI_BASE_URL": "http://127.0.0.1:9",
    }
    return CliRunner().invoke(main, ["batches", "results", *args], env=environ)


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("fr-unicode", nasty.ROWS[0]),  # the first of two lines
        ("../../de-escape", nasty.ROWS[2]),
        ("de-cut", nasty.ROWS[3]),
        ("de-blocked", nasty.ROWS[5]),
        ("de-inner", nasty.ROWS[11]),
        ("de-bom", nasty.LINES[0]),
        ("de-last", nasty.LINES[-1]),
    ],
)
def test_answer_is_printed_byte_for_byte(storage: LocalStorage, key: str, line: bytes) -> None:
    result = results(storage, "b1", key)
    assert (result.exit_code, result.stdout_bytes, result.stderr) == (0, line + b"\n", "")


@pytest.mark.parametrize(
    ("key", "outcome", "code"),
    [("fr-again", "error", "8 RESOURCE_EXHAUSTED"), ("de-nan", "malformed", "shape")],
)
def test_error_is_printed_with_its_line(
    storage: LocalStorage, key: str, outcome: str, code: str
) -> None:
    result = results(storage, "batches/b1", key)
    row = json.loads(result.stdout)
    assert (row["key"], row["outcome"], json.loads(row["raw"])["key"]) == (key, outcome, key)
    assert (result.exit_code, result.stderr) == (1, f"no answer: {outcome} {code}\n")
    assert results(storage, "b1", key, "--text").stdout == result.stdout


def test_text_is_printed_without_the_rest(storage: LocalStorage) -> None:
    assert results(storage, "b1", "fr-unicode", "--text").stdout == "a\u2028b \U0001f600\n"
    blocked = results(storage, "b1", "de-blocked", "--text")
    assert (blocked.exit_code, blocked.stdout) == (1, "")
    assert "the answer has no text: it is blocked" in blocked.stderr


@pytest.mark.parametrize("key", ["fr-unicode", "de-bom", "de-crlf", "fr-never"])
def test_json_says_where_it_lies(storage: LocalStorage, key: str) -> None:
    found = json.loads(results(storage, "b1", key, "--json").stdout)
    data = storage.read(found["object"])
    assert data is not None
    line = data[found["offset"] : found["offset"] + found["length"]]
    assert found["result"] == json.loads(line.decode("utf-8-sig"))
    assert found["key"] == key


def test_unknown_key_is_said(storage: LocalStorage) -> None:
    result = results(storage, "b1", 'no "such"')
    assert (result.exit_code, result.stdout) == (1, "")
    assert 'batches/b1 has no result for "no \\"such\\"": 1 request has no result' in result.stderr
    assert "results came without a key" in result.stderr


def test_missing_key_is_told_from_an_unknown_one(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    put_input(storage, b'{"key":"one","request":{}}\n{"key":"two","request":{}}\n')
    store(storage, nasty.answer("one"), 2)
    assert (
        "it was asked for, and Gemini sent no result: `resubmit batches/b1`"
        in results(storage, "b1", "two").stderr
    )
    assert "none of the 2 requests had it" in results(storage, "b1", "three").stderr


def test_changed_bytes_are_not_printed(storage: LocalStorage) -> None:
    place = json.loads(results(storage, "b1", "de-last", "--json").stdout)["object"]
    data = storage.read(place)
    assert data is not None
    storage.put_many([(place, data.replace(b"hello", b"HELLO"))])
    changed = results(storage, "b1", "de-last")
    assert (changed.exit_code, changed.stdout, "has changed since" in changed.stderr) == (
        1,
        "",
        True,
    )
    storage.delete(place)
    assert (
        f"{place} is not there, though the index names it"
        in results(storage, "b1", "de-last").stderr
    )


def test_absent_records_are_said(storage: LocalStorage) -> None:
    storage.delete(index_name("b1"))
    assert "_index.jsonl.gz is not there" in results(storage, "b1", "de-last").stderr
    storage.delete(manifest_name("b1"))
    assert (
        "Error: batches/b1 is not stored: Redis did not answer"
        in results(storage, "b1", "de-last").stderr
    )


def test_answer_is_found_deep_in_a_large_object(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    lines = [
        nasty.answer(f"de-{number}", str(number) * 50_000) for number in range(9)
    ]  # over several chunks
    store(storage, b"\n".join(lines), 9, GROUPED)
    assert results(storage, "b1", "de-8").stdout_bytes == lines[8] + b"\n"
    assert results(storage, "b1", "de-5").stdout_bytes == lines[5] + b"\n"
