"""What a stranger learns of a batch: from its manifest, from the log, and from the commands' words and exit codes."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.sandbox.processes import allocate_port
from tests import nasty
from tests.acceptance.conftest import World
from tests.commands import invoke
from tests.running import ready_batch

GROUPING = {"KEY_PATTERN": "(?P<group>[a-z]+)-.*", "OUTPUT_TEMPLATE": "{batch}/{group}.jsonl"}


def run(settings: dict[str, str], *args: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, **settings}
    command = [sys.executable, "-m", "workers", *args]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def ended_batch(world: World, data: bytes, requests: int, **fields: object) -> str:
    """A batch at Gemini with these results. Gives its name."""
    source = world.folder / "results.jsonl"
    source.write_bytes(data)
    return ready_batch(
        world.gemini_url, result_path=str(source), request_count=requests, notify=False, **fields
    )


def process(settings: dict[str, str], batch: str) -> str:
    """Let a worker store a batch, and ask for short results without a pause. Gives its log."""
    settings = settings | {"RETRY_BASE_S": "0"}
    assert invoke(settings, "replay", "--batch", batch).exit_code == 0
    worker = run(settings, "worker", "--burst")
    assert worker.returncode == 0, worker.stderr
    return worker.stderr + worker.stdout


def manifest_of(world: World, batch: str) -> dict[str, Any]:
    path = world.outputs / batch.removeprefix("batches/") / "_manifest.json"
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def test_complete_batch_is_shown_and_proven(world: World) -> None:
    settings = world.settings
    batch = ended_batch(world, b"\n".join(nasty.answer(key) for key in ("one", "two")), 2)
    process(settings, batch)
    shown = run(settings, "batches", "show", batch)
    assert (shown.returncode, shown.stderr) == (0, "")
    cost = (
        "cost      unknown: 0 of 2 answers are priced: 2 lines came without a full count of tokens"
    )
    assert {
        "state     SUCCEEDED",
        "requests  2",
        "outcomes  ok 2",
        "missing   0",
        "balanced  yes",
        cost,
    } <= set(shown.stdout.splitlines())
    assert json.loads(run(settings, "batches", "show", batch, "--json").stdout) == manifest_of(
        world, batch
    )
    proven = run(settings, "verify", batch)
    assert (proven.returncode, proven.stderr) == (0, "")
    assert proven.stdout.startswith(f"{batch}: proven: 2 lines, 2 objects, ")


def test_unmatched_keys_are_shown(world: World) -> None:
    settings = world.settings | GROUPING
    batch = ended_batch(world, b"\n".join(nasty.answer(key) for key in ("de-1", "7", "de-2")), 3)
    log = process(settings, batch)
    assert '"{batch}/{group}.jsonl", "example": "b1x7/group.jsonl"' in log
    assert "unmatched 1" in invoke(settings, "batches", "show", batch).stdout.splitlines()
    folder = world.outputs / batch.removeprefix("batches/")
    assert folder.joinpath("_unmatched.jsonl").read_bytes() == nasty.answer("7") + b"\n"
    assert invoke(settings, "verify", batch).exit_code == 0


def test_mismatch_is_loud(world: World) -> None:
    """More results than requests: in the log, the manifest, a counter and the exit codes."""
    settings = world.settings
    batch = ended_batch(world, b"\n".join(nasty.answer(key) for key in ("one", "two")), 1)
    log = [
        json.loads(line) for line in process(settings, batch).splitlines() if line.startswith("{")
    ]
    (stored,) = [row for row in log if row["event"] == "batch.stored"]
    assert (stored["level"], stored["balanced"], stored["requests"], stored["ok"]) == (
        "error",
        False,
        1,
        2,
    )
    assert manifest_of(world, batch)["balanced"] is False
    with redis.Redis.from_url(world.redis_url) as client:
        assert client.hget("gbr:counters", "unbalanced_batches") == b"1"
    shown = invoke(settings, "batches", "show", batch, "--json")
    assert shown.exit_code == 1
    assert json.loads(shown.stdout)["balanced"] is False
    assert shown.stderr == "the counts don't add up: 1 request, 2 results, 0 missing\n"
    assert stored["judgement"] == "stored; the counts don't add up"
    assert invoke(settings, "verify", batch).exit_code == 1


def test_missing_request_is_loud(world: World) -> None:
    settings = world.settings
    batch = ended_batch(world, nasty.answer("one"), 2)
    log = process(settings, batch)
    assert '"level": "error", "event": "batch.stored"' in log
    shown = invoke(settings, "batches", "show", batch)
    *problems, advice = shown.stderr.splitlines()
    assert shown.exit_code == 1
    assert problems == [
        "the results look wrong: Gemini says 2 results, 1 came; over minutes, Gemini gave the same again",
        "1 of 2 requests has no result",
    ]
    assert f"resubmit {batch.removeprefix('batches/')} --input FILE`" in advice
    assert "judgement stored; 1 missing" in shown.stdout.splitlines()
    assert invoke(settings, "verify", batch).exit_code == 0


def test_failed_batch_is_said_in_words(world: World) -> None:
    settings = world.settings
    error = {"code": 13, "message": "it broke"}
    batch = ready_batch(
        world.gemini_url, state="FAILED", request_count=3, error=error, notify=False
    )
    process(settings, batch)
    shown = invoke(settings, "batches", "show", batch)
    assert shown.exit_code == 1
    assert "error     13 INTERNAL: it broke" in shown.stdout
    assert shown.stderr.startswith(
        "the batch did not succeed: Gemini says FAILED\n3 of 3 requests have no result\n"
    )
    assert "judgement stored; failed at Gemini, 3 missing" in shown.stdout.splitlines()
    assert (
        invoke(settings, "verify", batch).stdout
        == f"{batch}: proven: 0 lines, 0 objects, 0 bytes\n"
    )


def test_unstored_batch_has_a_place(world: World) -> None:
    settings = world.settings
    batch = ended_batch(world, nasty.answer("one"), 1)
    unknown = invoke(settings, "batches", "show", batch)
    assert unknown.exit_code == 1
    assert f"Error: {batch} is not stored: the inbox does not know it" in unknown.stderr
    invoke(settings, "replay", "--batch", batch)
    assert "it is open in the inbox" in invoke(settings, "batches", "show", batch).stderr
    alone = invoke(
        settings | {"REDIS_URL": f"redis://127.0.0.1:{allocate_port()}/0"}, "batches", "show", batch
    )
    assert alone.exit_code == 1
    assert f"Error: {batch} is not stored: Redis did not answer" in alone.stderr
    assert invoke(settings, "verify", batch).exit_code == 1


def test_broken_input_is_buried_with_its_cause(world: World) -> None:
    settings = world.settings
    batch = ended_batch(world, nasty.answer("one"), 1)
    folder = world.outputs / batch.removeprefix("batches/")
    folder.mkdir(parents=True)
    (folder / "_input.jsonl.gz").write_bytes(b"no gzip")
    process(settings, batch)
    shown = invoke(settings, "batches", "show", batch)
    assert "it is buried" in shown.stderr
    assert "_input.jsonl.gz is no whole gzip file: store it again or delete it" in shown.stderr


def test_known_input_names_what_is_missing(world: World) -> None:
    settings = world.settings
    asked = [
        json.dumps({"key": key, "request": {"x": 1}}).encode() for key in ("one", "two", "three")
    ]
    batch = ended_batch(world, nasty.answer("two") + b"\n" + nasty.failure("three", 8), 3)
    folder = world.outputs / batch.removeprefix("batches/")
    folder.mkdir(parents=True)
    (folder / "_input.jsonl.gz").write_bytes(gzip.compress(b"\n".join(asked)))
    process(settings, batch)
    assert manifest_of(world, batch)["missing_keys"] == ["one"]
    assert (folder / "_retry.jsonl").read_bytes() == asked[0] + b"\n" + asked[2] + b"\n"
    assert (
        'missing   1 (keys without a result: "one")'
        in invoke(settings, "batches", "show", batch).stdout
    )


def test_failed_batch_can_be_sent_again(world: World) -> None:
    settings = world.settings
    batch = ready_batch(world.gemini_url, state="EXPIRED", request_count=1, notify=False)
    folder = world.outputs / batch.removeprefix("batches/")
    folder.mkdir(parents=True)
    (folder / "_input.jsonl.gz").write_bytes(gzip.compress(b'{"key":"one","request":{}}'))
    process(settings, batch)
    assert (folder / "_retry.jsonl").read_bytes() == b'{"key":"one","request":{}}\n'


@pytest.mark.parametrize("template", [{}, GROUPING], ids=["per key", "grouped"])
def test_every_request_of_a_nasty_batch_is_counted(world: World, template: dict[str, str]) -> None:
    """Its one second line of a key answers no request, and is said."""
    settings = world.settings | template
    batch = ended_batch(world, nasty.FILE, nasty.REQUESTS + 2)
    process(settings, batch)
    manifest = manifest_of(world, batch)
    outcomes = dict(manifest["outcomes"])
    assert outcomes.pop("duplicate") == nasty.DUPLICATES
    assert manifest["requests"] == sum(outcomes.values()) + manifest["missing"]
    assert (manifest["missing"], manifest["balanced"]) == (2, False)
    assert manifest["source"]["lines"] == len(nasty.LINES)
    assert all(outcomes.values()), outcomes
    verified = json.loads(invoke(settings, "verify", batch, "--json").stdout)
    assert [(one["object"].rpartition("/")[2], one["line"]) for one in verified[0]["findings"]] == [
        ("_manifest.json", None)
    ]


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("template", [{}, GROUPING], ids=["per key", "grouped"])
@pytest.mark.parametrize("kind", ["file", "inline"])
def test_second_run_gives_the_same_bytes(world: World, template: dict[str, str], kind: str) -> None:
    """Another day's worker, on another machine, into an empty storage."""
    if kind == "file":
        batch = ended_batch(world, nasty.FILE, nasty.REQUESTS)
    else:
        output = {"inlinedResponses": {"inlinedResponses": [json.loads(row) for row in nasty.ROWS]}}
        batch = ready_batch(
            world.gemini_url, output=output, request_count=len(nasty.ROWS), notify=False
        )
    trees = []
    for name, hash_seed, zone in (("first", "1", "UTC"), ("second", "2", "Asia/Tokyo")):
        scratch, outputs = world.folder / f"{name}-scratch", world.folder / name
        scratch.mkdir()
        surroundings = {
            "PYTHONHASHSEED": hash_seed,
            "TZ": zone,
            "HOSTNAME": name,
            "SCRATCH_DIR": str(scratch),
        }
        with redis.Redis.from_url(world.redis_url) as client:
            client.flushall()
        process(world.settings | template | surroundings | {"STORAGE_URL": outputs.as_uri()}, batch)
        trees.append(tree(outputs))
    assert len(trees[0]) > 5
    assert any(name.endswith("/_manifest.json") for name in trees[0])
    assert trees[0] == trees[1]
