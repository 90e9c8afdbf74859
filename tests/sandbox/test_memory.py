"""Inputs and results of any size pass through the sandbox on disk, not in memory: 2 GB take what 200 MB take."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.sandbox.conftest import Json, Sandbox
from tests.waiting import eventually

REQUESTS = 140
FILLER = "x" * 1_400_000
SIDE = 600  # a picture of noise that makes an answer of 1.4 MB
WHOLE_BYTES = 190_000_000
GROWTH_MIB = 40

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")


def peak_mib(pid: int) -> int:
    """The most memory that a process has held so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) // 1024


def lines() -> Iterator[bytes]:
    for number in range(REQUESTS):
        contents = [{"parts": [{"text": f"[sandbox:image {SIDE}] {FILLER}"}]}]
        yield json.dumps({"key": str(number), "request": {"contents": contents}}).encode() + b"\n"


def upload(sandbox: Sandbox) -> str:
    start = {"x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"}
    opened = sandbox.http.post("/upload/v1/files", json={"file": {}}, headers=start)
    finish = {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}
    answer = httpx.post(
        opened.headers["x-goog-upload-url"], content=lines(), headers=finish, timeout=60
    )
    stored: Json = answer.json()["file"]
    assert int(stored["sizeBytes"]) > WHOLE_BYTES
    return str(stored["name"])


def download(sandbox: Sandbox, name: str) -> int:
    with sandbox.http.stream("GET", f"/v1/{name}:download?alt=media", timeout=60) as answer:
        return sum(map(len, answer.iter_bytes()))


def test_size_costs_no_memory(start_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = start_sandbox()
    sandbox.run_lines(
        {"key": "a", "request": {"contents": [{"parts": [{"text": f"[sandbox:image {SIDE}]"}]}]}}
    )
    before = peak_mib(sandbox.pid)
    name = sandbox.create({"inputConfig": {"fileName": upload(sandbox)}})["name"]
    ended = eventually(
        lambda: (shown := sandbox.ask("GET", f"/v1/{name}")).get("done") and shown,
        60,
        "the job's end",
    )
    assert ended
    assert ended["metadata"]["batchStats"]["successfulRequestCount"] == str(REQUESTS)
    assert download(sandbox, ended["response"]["responsesFile"]) > WHOLE_BYTES
    assert peak_mib(sandbox.pid) < before + GROWTH_MIB
