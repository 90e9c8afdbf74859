"""From a file of requests to stored answers, a retry of the failed ones and a clean account, by our commands."""

import json
from pathlib import Path
from typing import Any

import pytest

from receiver.submissions.records import awaited_name
from tests.acceptance.conftest import World
from tests.acceptance.test_main_job import (
    batch_of,
    folder_of,
    manifest_of,
    run,
    running_service,
)
from tests.running import CLIENT, HEADERS, submit_file
from tests.waiting import eventually

MODEL = ("--model", "gemini-3.5-flash")
REQUESTS = 30


@pytest.fixture
def requests(tmp_path: Path) -> Path:
    path = tmp_path / "requests.jsonl"
    rows = [
        {"key": f"k{number}", "request": {"contents": [{"parts": [{"text": f"Say {number}"}]}]}}
        for number in range(REQUESTS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def do(settings: dict[str, str], *args: str, code: int = 0) -> str:
    """Run a command. Gives its stdout."""
    done = run(settings, *args)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def submit(settings: dict[str, str], path: Path, *options: str) -> str:
    """Submit what is sent once. Gives the batch."""
    words = ("batches", "submit", str(path), *MODEL, "--rounds", "0", "--json", *options)
    return batch_of(settings, json.loads(do(settings, *words))["submission"])


def merged(settings: dict[str, str], batch: str, code: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        do(settings, "batches", "merged", batch, "--json", code=code)
    )
    return found


def test_requests_are_answered_retried_and_merged(world: World, requests: Path) -> None:
    settings = world.settings
    with running_service(world, settings):
        first = submit(settings, requests, "--display-name", "evening [flaky 3]")
        do(settings, "batches", "watch", first, "--interval", "1", "--timeout", "60", code=1)
        manifest = manifest_of(world, first)
        failed = manifest["outcomes"]["error"]
        assert 0 < failed < REQUESTS
        assert (manifest["input"]["requests"], manifest["missing_keys"]) == (REQUESTS, [])
        assert merged(settings, first, 1)["answered"] == REQUESTS - failed
        again = json.loads(do(settings, "resubmit", first, "--json"))["submission"]
        second = batch_of(settings, again)
        do(settings, "batches", "watch", second, "--interval", "1", "--timeout", "60")
        assert manifest_of(world, second)["outcomes"]["ok"] == failed
    whole = merged(settings, first, 0)
    assert (whole["answered"], whole["requests"]) == (REQUESTS, REQUESTS)
    assert [one["batch"] for one in whole["batches"]] == [first, second]
    assert len(whole["keys"]) == failed
    assert all((world.outputs / fate["object"]).is_file() for fate in whole["keys"])
    said = do(settings, "batches", "merged", first).splitlines()
    assert said[-1] == f"together: {REQUESTS} of {REQUESTS} requests are answered"
    for batch in (first, second):  # all that failed was sent again, and is answered
        again = run(settings, "resubmit", batch)
        assert (again.returncode, again.stdout) == (0, "")
        assert f"nothing of {batch} may succeed if it is sent again" in again.stderr
    for fate in whole["keys"]:
        answer = json.loads(do(settings, "batches", "results", fate["batch"], fate["key"]))
        assert (answer["key"], "response" in answer) == (fate["key"], True)
    do(settings, "verify", first, second)
    do(settings, "batches", "delete", first, second, "--yes")
    account = [
        CLIENT.get(f"{world.gemini_url}/v1beta/{kind}", headers=HEADERS).json()
        for kind in ("batches", "files")
    ]
    assert account == [{}, {}]


def test_keys_alone_need_the_input_again(world: World, requests: Path) -> None:
    """A batch that somebody submitted by other means."""
    settings = world.settings
    with running_service(world, settings):
        batch = submit_file(world.gemini_url, requests.read_bytes(), "evening [flaky 3]")
        failed = manifest_of(world, batch)["outcomes"]["error"]
        refused = run(settings, "resubmit", batch)
        assert refused.returncode == 1
        assert "name their file with --input" in refused.stderr
        said = json.loads(do(settings, "resubmit", batch, "--input", str(requests), "--json"))
    assert said["requests"] == failed


def test_input_on_its_way_is_waited_for(world: World, requests: Path) -> None:
    """A batch can end before its requests are stored: its books wait for them."""
    settings = world.settings
    batch = submit_file(world.gemini_url, requests.read_bytes())
    answer = CLIENT.get(f"{world.gemini_url}/v1beta/{batch}", headers=HEADERS).json()
    mark = world.outputs / awaited_name(answer["metadata"]["inputConfig"]["fileName"])
    mark.parent.mkdir(parents=True)
    mark.touch()
    with running_service(world, settings):
        eventually(
            lambda: "the input is still on its way" in do(settings, "inbox", "list", "--json"), 30
        )
        assert not (folder_of(world, batch) / "_manifest.json").exists()
        mark.unlink()
        assert manifest_of(world, batch)["input"] is None
