"""What the fuzzers aim at: the settings of a receiver with two projects, a key set of ours, and the real server."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from subprocess import Popen

from deploy.sandbox.delivery.signing import SECRET_PREFIX, DynamicKeys
from deploy.sandbox.processes import allocate_port, start, stop
from deploy.sandbox.valkey import running_valkey
from tests.answering import Answer, answering
from tests.fuzz.originals import Signer, b64
from tests.running import answers
from tests.waiting import eventually

AUDIENCE = "https://receiver.example/webhooks/gemini"


@dataclass(frozen=True)
class Stage:
    """Who may sign, and under which settings a receiver believes them."""

    folder: Path
    signer: Signer
    settings: dict[str, str]


@contextmanager
def open_stage(folder: Path, seed: int) -> Iterator[Stage]:
    """A Valkey and an endpoint with the key set, and the settings that lead to them."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = Random(seed)
    secrets = [SECRET_PREFIX + b64(rng.randbytes(32)) for _ in range(3)]
    signer = Signer(secrets[:2], secrets[2], DynamicKeys(), AUDIENCE)
    key_set = Answer(200, json.dumps(signer.keys.jwks()).encode())
    with running_valkey(folder) as redis_url, answering(lambda _path, _headers: key_set) as url:
        settings = {
            "GEMINI_API_KEY": "right-key",
            "GEMINI_BASE_URL": url,
            "GEMINI_WEBHOOK_SECRET": " ".join(signer.secrets),
            "GEMINI_WEBHOOK_AUDIENCE": AUDIENCE,
            "GEMINI_API_KEY__OTHER": "other-key",
            "GEMINI_WEBHOOK_SECRET__OTHER": signer.foreign_secret,
            "REDIS_URL": redis_url,
            "STORAGE_URL": (folder / "outputs").as_uri(),
            "RECONCILE_INTERVAL_S": "0",
        }
        yield Stage(folder, signer, settings)


@dataclass(frozen=True)
class Server:
    """The `serve` process."""

    process: "Popen[bytes]"
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())

    def memory_bytes(self, field: str = "VmRSS") -> int:
        """Of Linux' own accounts; `VmHWM` is the peak."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


@contextmanager
def running_server(stage: Stage) -> Iterator[Server]:
    port = allocate_port()
    log = stage.folder / f"serve-{port}.log"
    with log.open("wb") as output:
        argv = [sys.executable, "-m", "workers", "serve", "--port", str(port)]
        process = start(argv, env=environment(stage), stdout=output)
    try:
        server = Server(process, port, log)
        eventually(lambda: answers(f"{server.url}/ready"), 30, "the server's start")
        yield server
    finally:
        stop(process)


def environment(stage: Stage) -> dict[str, str]:
    """Nothing of the caller's own environment but where programs are."""
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        **stage.settings,
    }


def log_problems(log: Path) -> list[str]:
    """Lines that are no JSON object, or hold a traceback."""
    return [line[:500] for line in log.read_text().splitlines() if not _is_clean(line)][:5]


def _is_clean(line: str) -> bool:
    try:
        record = json.loads(line)
    except ValueError:
        return False
    return isinstance(record, dict) and "trace" not in record
