"""The command `serve` as a process: how it starts and ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.sandbox.processes import allocate_port, start, stop
from tests.receiver import forging
from tests.running import answers
from tests.waiting import eventually


@dataclass(frozen=True)
class Serving:
    process: "subprocess.Popen[bytes]"
    url: str
    log: Path

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one event."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == event]


@contextmanager
def serving(folder: Path, redis_url: str, *args: str, **variables: str) -> Iterator[Serving]:
    """`serve` for the length of a `with`, once it answers."""
    port = allocate_port()
    settings = {
        "GEMINI_API_KEY": "right-key",
        "GEMINI_BASE_URL": f"http://127.0.0.1:{allocate_port()}",
        "GEMINI_WEBHOOK_SECRET": forging.SECRET_TEXT,
        "REDIS_URL": redis_url,
        "STORAGE_URL": (folder / "outputs").as_uri(),
        "RECONCILE_INTERVAL_S": "0",
    }
    argv = [sys.executable, "-m", "workers", "serve", "--port", str(port), *args]
    with (folder / "serve.log").open("ab") as log:
        process = start(argv, env={**os.environ, **settings, **variables}, stdout=log)
    served = Serving(process, f"http://127.0.0.1:{port}", folder / "serve.log")
    try:
        eventually(lambda: answers(f"{served.url}/health"), 30, "the start of serve")
        yield served
    finally:
        stop(process)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_last_line_of_a_stopped_process_is_written(
    redis_url: str, tmp_path: Path, sent: signal.Signals
) -> None:
    with serving(tmp_path, redis_url) as served:
        served.process.send_signal(sent)
        served.process.wait(10)
    assert len(served.logged("server.stopped")) == 1
