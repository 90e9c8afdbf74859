"""From a delivery to a manifest, and from a missed delivery to a replay, with every process real."""

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.sandbox.demo.command import REQUESTS
from tests import nasty
from tests.acceptance.conftest import World
from tests.running import (
    answers,
    ready_batch,
    running_program,
    set_faults,
    submit_file,
    submit_inline,
)
from tests.waiting import eventually


@contextmanager
def running_service(world: World, settings: dict[str, str]) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(running_program(world.folder, settings, "serve"))
        stack.enter_context(running_program(world.folder, settings, "worker"))
        eventually(lambda: answers(f"{world.web_url}/ready"), 20)
        yield


def folder_of(world: World, batch: str) -> Path:
    return world.outputs / batch.removeprefix("batches/")


def manifest_of(world: World, batch: str) -> dict[str, Any]:
    path = folder_of(world, batch) / "_manifest.json"
    eventually(path.exists, 30, f"the manifest of {batch}")
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def run(
    settings: dict[str, str], *args: str, cwd: Path | None = None, timeout_s: float = 60
) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, **settings}
    return subprocess.run(
        [sys.executable, "-m", "workers", *args],
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        cwd=cwd,
    )


def batch_of(settings: dict[str, str], submission: str) -> str:
    """The batch of a submission's first part, once a worker has created it."""

    def find() -> str | None:
        done = run(settings, "submissions", "show", submission, "--json")
        assert done.returncode == 0, done.stderr
        batch: str | None = json.loads(done.stdout)["parts"][0]["batch"]
        return batch

    found = eventually(find, 30, f"the batch of {submission}")
    assert found is not None
    return found


def index_of(world: World, batch: str) -> list[dict[str, Any]]:
    rows = gzip.decompress((folder_of(world, batch) / "_index.jsonl.gz").read_bytes()).splitlines()
    return [json.loads(row) for row in rows]


def test_delivered_batch_is_stored(world: World) -> None:
    with running_service(world, world.settings):
        batch = submit_file(world.gemini_url, REQUESTS.read_bytes())
        manifest = manifest_of(world, batch)
    asked = [json.loads(line)["key"] for line in REQUESTS.read_text().splitlines()]
    assert manifest["requests"] == len(asked) == sum(manifest["outcomes"].values())
    assert (manifest["missing"], manifest["balanced"], manifest["state"]) == (0, True, "SUCCEEDED")
    index = index_of(world, batch)
    assert sorted(row["key"] for row in index) == sorted(asked)
    for row in index:
        data = (world.outputs / row["object"]).read_bytes()
        line = data[row["offset"] : row["offset"] + row["length"]]
        assert json.loads(line)["key"] == row["key"]


def test_tenant_of_the_callback_names_the_outputs(world: World) -> None:
    """User metadata comes with dynamic callbacks alone."""
    template = {"OUTPUT_TEMPLATE": "tenant={meta.tenant}/{batch}/{key}.json"}
    source = world.folder / "results.jsonl"
    source.write_bytes(nasty.answer("one"))
    hook = {"uris": [f"{world.web_url}/webhooks/gemini"], "user_metadata": {"tenant": "Blue"}}
    with running_service(world, world.settings | template):
        batch = ready_batch(
            world.gemini_url, result_path=str(source), request_count=1, webhook_config=hook
        )
        manifest_of(world, batch)
    (row,) = index_of(world, batch)
    assert row["object"] == f"tenant=Blue/{batch.removeprefix('batches/')}/one.json"
    assert (world.outputs / row["object"]).read_bytes() == nasty.answer("one") + b"\n"


def test_inline_batch_is_stored(world: World) -> None:
    with running_service(world, world.settings):
        batch = submit_inline(world.gemini_url, {"one": "Hello", "Two": "[sandbox:error 8]"})
        manifest = manifest_of(world, batch)
    assert manifest["source"]["kind"] == "inline"
    assert manifest["outcomes"] | {"ok": 1, "error": 1} == manifest["outcomes"]
    stored = json.loads((folder_of(world, batch) / "one.json").read_bytes())
    assert stored["metadata"] == {"key": "one"}
    retry = (folder_of(world, batch) / "_retry.jsonl").read_text().splitlines()
    assert [json.loads(line)["key"] for line in retry] == ["Two"]


def test_late_output_is_waited_for(world: World) -> None:
    with running_service(world, world.settings):
        batch = submit_inline(world.gemini_url, {"one": "Hello"}, "job [late-output 2]")
        assert manifest_of(world, batch)["outcomes"]["ok"] == 1


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "EXPIRED"])
def test_unsuccessful_batch_gets_a_manifest(world: World, state: str) -> None:
    error = {"code": 13, "message": "it broke"}
    with running_service(world, world.settings):
        batch = ready_batch(world.gemini_url, state=state, request_count=3, error=error)
        manifest = manifest_of(world, batch)
    assert (manifest["state"], manifest["requests"], manifest["missing"]) == (state, 3, 3)
    assert manifest["error"] == error
    assert manifest["source"]["kind"] == "none"


def test_missed_delivery_is_found_by_replay(world: World) -> None:
    settings = world.settings
    set_faults(world.gemini_url, drop_deliveries="all")
    batch = submit_inline(world.gemini_url, {"one": "Hello"})
    header = {"x-goog-api-key": "right-key"}
    eventually(
        lambda: httpx.get(f"{world.gemini_url}/v1/{batch}", headers=header).json().get("done")
    )

    dry = run(settings, "replay", "--dry-run")
    assert dry.stdout == "1 found, 0 already stored, 1 to queue\n"
    assert run(settings, "worker", "--burst").returncode == 0
    assert not folder_of(world, batch).exists()

    first = run(settings, "replay")
    assert first.stdout == "1 found, 0 already stored, 1 queued\n"
    burst = run(settings, "worker", "--burst")
    assert burst.returncode == 0, burst.stderr
    assert manifest_of(world, batch)["outcomes"]["ok"] == 1

    again = run(settings, "replay", "--since", "1h", "--json")
    tally = json.loads(again.stdout)
    assert (
        tally
        | {"found": 1, "stored": 1, "queued": [], "pending": 0, "unfinished": 0, "unclear": []}
        == tally
    )


def test_replay_takes_named_batches(world: World) -> None:
    settings = world.settings
    set_faults(world.gemini_url, drop_deliveries="all")
    wanted, _other = (ready_batch(world.gemini_url, state="EXPIRED") for _ in range(2))
    result = run(settings, "replay", "--batch", wanted.removeprefix("batches/"))
    assert result.stdout == "1 found, 0 already stored, 1 queued\n"
    assert f"queued {wanted}" in result.stderr


def test_unknown_batch_is_said_in_words(world: World) -> None:
    result = run(world.settings, "replay", "--batch", "nosuchbatch")
    assert result.returncode == 1
    assert "Error: Gemini knows no batches/nosuchbatch for this API key" in result.stderr
    assert "Traceback" not in result.stderr


def test_killed_worker_loses_nothing(world: World) -> None:
    """The lease runs out, and the next worker starts the batch again."""
    settings = world.settings
    set_faults(world.gemini_url, drip_downloads={"bytes_per_s": 2000, "times": "all"})
    with ExitStack() as stack:
        stack.enter_context(running_program(world.folder, settings, "serve"))
        pid = stack.enter_context(running_program(world.folder, settings, "worker"))
        eventually(lambda: answers(f"{world.web_url}/ready"), 20)
        batch = submit_file(world.gemini_url, REQUESTS.read_bytes())
        eventually(
            lambda: list((world.outputs / ".tmp").glob("gbr-*")), 20, "the start of the download"
        )
        os.killpg(pid, signal.SIGKILL)
        set_faults(world.gemini_url, drip_downloads=None)
        stack.enter_context(running_program(world.folder, settings, "worker"))
        assert manifest_of(world, batch)["missing"] == 0


def test_stopped_worker_hands_its_batch_back(world: World) -> None:
    settings = world.settings
    set_faults(world.gemini_url, drip_downloads={"bytes_per_s": 2000, "times": "all"})
    with ExitStack() as stack:
        stack.enter_context(running_program(world.folder, settings, "serve"))
        eventually(lambda: answers(f"{world.web_url}/ready"), 20)
        with running_program(world.folder, settings, "worker"):
            batch = submit_file(world.gemini_url, REQUESTS.read_bytes())
            eventually(
                lambda: list((world.outputs / ".tmp").glob("gbr-*")),
                20,
                "the start of the download",
            )
        assert not (folder_of(world, batch) / "_manifest.json").exists()
        log = (world.folder / "worker.log").read_text()
        assert "batch.handed_back" in log
        set_faults(world.gemini_url, drip_downloads=None)
        stack.enter_context(running_program(world.folder, settings, "worker"))
        assert manifest_of(world, batch)["missing"] == 0
