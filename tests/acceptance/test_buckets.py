"""From Gemini's result to a proven manifest in a bucket, with every process real."""

import json

import pytest

from deploy.sandbox.demo.command import REQUESTS
from receiver.storage import open_storage
from tests.acceptance.conftest import World
from tests.acceptance.test_main_job import run
from tests.running import CLIENT, HEADERS, submit_file
from tests.storage_servers import Bucket
from tests.waiting import eventually


@pytest.mark.parametrize("server", ["seaweedfs", "azurite"])
def test_batch_is_stored_and_proven(
    server: str, world: World, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket: Bucket = request.getfixturevalue(server)
    settings = {**world.settings, **bucket.environment, "STORAGE_URL": f"{bucket.url}/results"}
    batch = submit_file(world.gemini_url, REQUESTS.read_bytes())
    eventually(
        lambda: CLIENT.get(f"{world.gemini_url}/v1/{batch}", headers=HEADERS).json().get("done")
    )

    assert "1 found, 0 already stored, 1 queued" in run(settings, "replay").stdout
    burst = run(settings, "worker", "--burst")
    assert burst.returncode == 0, burst.stderr
    proof = run(settings, "verify", batch)
    assert "proven" in proof.stdout, proof.stderr
    assert "writes, reads, creates once and deletes" in run(settings, "doctor").stdout

    bucket.enter(monkeypatch)
    keys = {json.loads(line)["key"] for line in REQUESTS.read_bytes().splitlines()}
    storage, folder = open_storage(settings["STORAGE_URL"]), batch.removeprefix("batches/")
    manifest = json.loads(storage.read(f"{folder}/_manifest.json") or b"")
    assert (manifest["requests"], manifest["capitals"]) == (len(keys), "kept")
    for key in ("case-Twin", "Case-twin"):
        answer = json.loads(storage.read(f"{folder}/{key}.json") or b"")
        assert (answer["key"], run(settings, "batches", "results", batch, key).returncode) == (
            key,
            0,
        )
