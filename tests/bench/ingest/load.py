"""Deliveries at full speed: signed beforehand, sent by wrk, so that the sender costs little of what is measured."""

import hashlib
import hmac
import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from deploy.sandbox.delivery.signing import sign_v1
from tests.bench.figures import RunFailedError

SCRIPT = Path(__file__).with_name("deliveries.lua")
CONNECTIONS = 32
PATH = "/webhooks/gemini"
GO_SECRET = "go-secret"


@dataclass(frozen=True)
class Load:
    """What the senders saw."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: int  # answers that were no 2xx
    broken: int  # connections
    cpu_us: float = 0  # of the server for each request

    @property
    def per_s(self) -> float:
        return self.requests / self.seconds


def _request(number: int, timestamp: int, secret: str) -> bytes:
    """One delivery of a batch of its own; the last header is for the Go program, which knows no Standard Webhooks."""
    delivery_id = f"msg_{number:08d}"
    event = {
        "type": "batch.succeeded",
        "version": "v1",
        "data": {"id": f"batches/bench{number:08d}"},
    }
    body = json.dumps(event | {"timestamp": "2026-01-31T10:00:00Z"}).encode()
    headers = {
        "host": "127.0.0.1",
        "content-type": "application/json",
        "content-length": str(len(body)),
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign_v1([secret], delivery_id, timestamp, body),
        "x-hook-signature": hmac.new(GO_SECRET.encode(), body, hashlib.sha256).hexdigest(),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {PATH} HTTP/1.1\r\n{head}\r\n".encode() + body


def write_requests(path: Path, count: int, secret: str) -> None:
    """Their signatures are good for five minutes."""
    timestamp = int(time.time())
    path.write_bytes(
        b"".join(_request(number, timestamp, secret) + b"\0" for number in range(count))
    )


def send(port: int, requests: Path, first: int, seconds: int) -> Load:
    """Send from CONNECTIONS connections for so long, beginning with the request of that number."""
    argv = [
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
        "--timeout",
        "10s",
        "-s",
        str(SCRIPT),
    ]
    env = {**os.environ, "FILE": str(requests), "FROM": str(first)}
    done = subprocess.run(
        [*argv, f"http://127.0.0.1:{port}"],
        env=env,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    if done.returncode:
        raise RunFailedError(f"wrk ended with {done.returncode}: {done.stderr[-2000:]}")
    return Load(**json.loads(done.stdout.strip().rpartition("\n")[2]))
