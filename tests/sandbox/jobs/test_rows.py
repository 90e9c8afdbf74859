import json
import threading
from pathlib import Path

from deploy.sandbox.faults.markers import plan_job
from deploy.sandbox.jobs.rows import Count, Recipe, file_rows, shuffled, write_rows
from tests.sandbox.conftest import Json

RECIPE = Recipe("generate", "models/m", 0, plan_job(None))


def rows(
    folder: Path, *lines: bytes, halt: threading.Event | None = None
) -> tuple[list[Json], Count]:
    path = folder / "in.jsonl"
    path.write_bytes(b"\n".join(lines))
    count = Count()
    return list(file_rows(path, RECIPE, count, halt or threading.Event())), count


def line(text: str, **others: object) -> bytes:
    return json.dumps(
        {"key": "k", "request": {"contents": [{"parts": [{"text": text}]}]}, **others}
    ).encode()


def test_answer_leads_and_key_ends(tmp_path: Path) -> None:
    found, _ = rows(tmp_path, line("x", tags=["a"], more={"deep": [1], "n": 2}))
    assert list(found[0]) == ["response", "tags", "more", "key"]
    assert (found[0]["tags"], found[0]["more"]) == ([], {"deep": [], "n": 2})


def test_markers_shape_the_line(tmp_path: Path) -> None:
    marks = ("missing", "duplicate", "nokey", "metadata-key", "error 8", "status")
    found, count = rows(tmp_path, *[line(f"[sandbox:{mark}]") for mark in marks])
    assert [sorted(row) for row in found] == [
        ["key", "response"],
        ["key", "response"],
        ["response"],
        ["metadata", "response"],
        ["error", "key"],
        ["key", "status"],
    ]
    assert found[0] == found[1]
    assert found[3]["metadata"] == {"key": "k"}
    assert found[4]["error"]["code"] == 8
    assert (count.requests, count.successful, count.failed) == (6, 4, 2)


def test_inner_order_varies(tmp_path: Path) -> None:
    found, _ = rows(tmp_path, *[line(f"question {number}") for number in range(20)])
    assert len({tuple(row["response"]) for row in found}) > 1


def test_broken_lines_become_errors(tmp_path: Path) -> None:
    found, count = rows(tmp_path, b"{", b"[1]", b"[" * 100_000, b"\xff", line("x"))
    assert ["error" in row for row in found] == [True, True, True, True, False]
    assert (count.requests, count.failed) == (5, 4)


def test_misshapen_requests_become_errors(tmp_path: Path) -> None:
    bad: list[object] = [None, 1, [], {"contents": 5}, {"contents": [{"parts": 7}]}]
    bad.append(
        {"contents": [{"parts": [{"text": "x"}]}], "tools": [{"functionDeclarations": [{}]}]}
    )
    bad.append(
        {"contents": [{"parts": [{"text": "x"}]}], "generationConfig": {"candidateCount": "many"}}
    )
    found, _ = rows(
        tmp_path, *[json.dumps({"key": "k", "request": request}).encode() for request in bad]
    )
    assert len(found) == len(bad)
    assert all(row["error"]["code"] == 3 for row in found[:3] + found[-2:])


def test_halt_ends_generation(tmp_path: Path) -> None:
    halt = threading.Event()
    halt.set()
    assert rows(tmp_path, line("x"), halt=halt)[0] == []


def test_any_key_comes_back(tmp_path: Path) -> None:
    keys = ["../x", "\u2028", "\ud800", "", 7, 10**30, None, {"a": 1}]
    path, out = tmp_path / "in", tmp_path / "out"
    path.write_text("".join(json.dumps({"key": key, "request": {}}) + "\n" for key in keys))
    write_rows(file_rows(path, RECIPE, Count(), threading.Event()), out)
    assert [json.loads(text)["key"] for text in out.read_bytes().split(b"\n") if text] == keys


def test_shuffle_is_seeded() -> None:
    entries = [{"n": number} for number in range(2500)]
    assert list(shuffled(entries, 1)) == list(shuffled(entries, 1)) != entries
    assert sorted(row["n"] for row in shuffled(entries, 1)) == list(range(2500))
