"""Lines to outputs and records, in real folders."""

import gzip
import hashlib
import itertools
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from receiver.errors import LeaseLostError
from receiver.outputs.paths import Template
from receiver.storage import LocalStorage
from workers.job.split import Split
from workers.results.hashed_lines import INLINE_BYTES
from workers.results.result_counts import ResultCounts

ANSWER = b'{"response":{"candidates":[{"content":{"parts":[{"text":"%s"}]},"finishReason":"STOP"}]},"key":"%s"}'
PER_KEY = Template.parse("{batch}/{key}.json")
GROUPED = Template.parse("{batch}/{group}.jsonl", "(?P<group>[a-z]+)-.*")


def answer(key: str, text: str = "hello") -> bytes:
    return ANSWER % (text.encode(), key.encode())


def split(root: Path, chunks: Iterable[bytes], template: Template = PER_KEY) -> ResultCounts:
    """Split into `root`/outputs. Gives the books."""
    scratch = root / "scratch"
    scratch.mkdir()
    counts = ResultCounts(scratch)
    storage = LocalStorage(root / "outputs")
    with Split("b1", storage, template.bind("b1"), counts, lambda: None, scratch) as one:
        one.run(chunks)
        one.store()
    return counts


def index(root: Path) -> list[dict[str, Any]]:
    rows = gzip.decompress((root / "outputs" / "b1" / "_index.jsonl.gz").read_bytes())
    return [json.loads(row) for row in rows.splitlines()]


def read(root: Path, name: str) -> bytes:
    return (root / "outputs" / name).read_bytes()


def test_every_line_becomes_its_object(tmp_path: Path) -> None:
    lines = [answer("one"), answer("two", "1.10"), answer("three")]
    split(tmp_path, [b"\n".join(lines) + b"\n"])
    assert [read(tmp_path, f"b1/{key}.json") for key in ("one", "two", "three")] == [
        line + b"\n" for line in lines
    ]


def test_groups_keep_the_sources_order(tmp_path: Path) -> None:
    lines = [answer(f"{group}-{number}") for number in range(200) for group in ("de", "fr")]
    split(tmp_path, [b"\n".join(lines) + b"\n"], GROUPED)
    for group in ("de", "fr"):
        expected = b"".join(answer(f"{group}-{number}") + b"\n" for number in range(200))
        assert read(tmp_path, f"b1/{group}.jsonl") == expected


@pytest.mark.parametrize("template", [PER_KEY, GROUPED], ids=["per key", "grouped"])
def test_index_finds_every_line(tmp_path: Path, template: Template) -> None:
    lines = [
        answer(f"{'de' if number % 3 else 'fr'}-{number}", "x" * number) for number in range(1000)
    ]
    split(tmp_path, [b"\n".join(lines) + b"\n"], template)
    rows = index(tmp_path)
    assert [row["line"] for row in rows] == list(range(1, 1001))
    objects = {row["object"]: read(tmp_path, row["object"]) for row in rows}
    for row, line in zip(rows, lines, strict=True):
        assert objects[row["object"]][row["offset"] : row["offset"] + row["length"]] == line
        assert row["sha256"] == hashlib.sha256(line).hexdigest()


def test_errors_are_kept_apart(tmp_path: Path) -> None:
    lines = [
        answer("one"),
        b'{"error":{"code":8,"message":"busy"},"key":"two"}',
        b"no json",
        answer("one", "again"),
        b'{"error":{"code":3,"message":"wrong"},"key":"three"}',
        b'\xff{"key":"four"}',
    ]
    counts = split(tmp_path, [b"\n".join(lines)])
    errors = [json.loads(line) for line in read(tmp_path, "b1/_errors.jsonl").splitlines()]
    assert [(row["line"], row["key"], row["outcome"], row["code"]) for row in errors] == [
        (2, "two", "error", "8"),
        (3, None, "malformed", "json"),
        (4, "one", "duplicate", "STOP"),
        (5, "three", "error", "3"),
        (6, None, "malformed", "utf-8"),
    ]
    assert errors[0]["raw"].encode() == lines[1]
    assert errors[4]["raw"] is None
    assert [row["line"] for row in index(tmp_path)] == [1, 2, 3, 4, 5, 6]
    assert counts.lines == 6
    assert [json.loads(line) for line in read(tmp_path, "b1/_retry.jsonl").splitlines()] == [
        {"key": "two"}
    ]


def test_blank_lines_answer_nothing(tmp_path: Path) -> None:
    counts = split(tmp_path, [b"\n" + answer("one") + b"\r\n \n" + answer("two") + b"\n\n"])
    assert (counts.lines, counts.blank) == (5, 3)
    assert [row["line"] for row in index(tmp_path)] == [2, 4]
    assert read(tmp_path, "b1/one.json") == answer("one") + b"\r\n"


@pytest.mark.parametrize(
    ("template", "name"), [(PER_KEY, "b1/_unkeyed/2.json"), (GROUPED, "b1/_unkeyed.jsonl")]
)
def test_result_without_key_is_kept_by_number(
    tmp_path: Path, template: Template, name: str
) -> None:
    line = answer("x").replace(b',"key":"x"', b"")
    counts = split(tmp_path, [answer("de-1") + b"\n" + line + b"\n"], template)
    assert read(tmp_path, name) == line + b"\n"
    assert counts.outcomes()["unkeyed"] == 1


def test_oversize_line_is_kept_whole(tmp_path: Path) -> None:
    huge = b'{"response":"' + b"x" * (65 * 1024 * 1024) + b'"}'
    chunks = [huge[start : start + 65536] for start in range(0, len(huge), 65536)]
    counts = split(tmp_path, [answer("one") + b"\n", *chunks, b"\n" + answer("two") + b"\n"])
    assert read(tmp_path, "b1/_oversize/2.jsonl") == huge + b"\n"
    assert counts.outcomes() | {"ok": 2, "malformed": 1} == counts.outcomes()
    assert b"b1/_oversize/2.jsonl" in read(tmp_path, "b1/_errors.jsonl")


def test_hostile_keys_stay_inside(tmp_path: Path) -> None:
    keys = ["../../escape", "/etc/passwd", "con", "a\\u0000b", "\\ud800", "", "a" * 5000]
    split(tmp_path, [b"".join(answer(key) + b"\n" for key in keys)])
    assert {path.name for path in tmp_path.iterdir()} == {"outputs", "scratch"}
    rows = index(tmp_path)
    assert [row["key"] for row in rows] == [json.loads(f'"{key}"') for key in keys]
    assert len({row["object"] for row in rows}) == len(keys)


def test_lost_lease_stops_before_the_next_write(tmp_path: Path) -> None:
    def lost() -> None:
        raise LeaseLostError("lost")

    storage, scratch = LocalStorage(tmp_path / "outputs"), tmp_path / "scratch"
    scratch.mkdir()
    with (
        pytest.raises(LeaseLostError),
        Split("b1", storage, PER_KEY.bind("b1"), ResultCounts(scratch), lost, scratch) as one,
    ):
        one.run([b"\n".join(answer(str(number)) for number in range(2000))])
    assert storage.list_names("") == []


def children() -> set[str]:
    """Processes that this one has started."""
    pid = os.getpid()
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def test_lost_lease_ends_the_process_that_hashes(tmp_path: Path) -> None:
    line, before = answer("de-1", "x" * 1000) + b"\n", children()

    def lose() -> None:
        if children() - before:
            raise LeaseLostError("lost")

    scratch, storage = tmp_path / "scratch", LocalStorage(tmp_path / "outputs")
    scratch.mkdir()
    with (
        pytest.raises(LeaseLostError),
        Split("b1", storage, GROUPED.bind("b1"), ResultCounts(scratch), lose, scratch) as one,
    ):
        one.run(itertools.repeat(line * 60, 2 * INLINE_BYTES // len(line * 60)))
    assert children() == before
