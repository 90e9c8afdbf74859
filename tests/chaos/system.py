"""Everything a storm needs, with real processes: Valkey, the stand-in of Gemini, the web process, workers."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from deploy.sandbox.processes import allocate_port, start, stop
from deploy.sandbox.valkey import start_valkey
from tests.running import answers, register_webhook, running_sandbox
from tests.waiting import eventually

TRACE = "trace.jsonl"
PLANTED_FAULT = "CHAOS_PLANTED_FAULT"  # the name of one of `tests.model.faults`
Process = subprocess.Popen[bytes]


def children_of(pid: int) -> list[int]:
    """Process ids of the direct children, threads' ones included."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def is_running(pid: int) -> bool:
    """False also for one that has ended and was not waited for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def send_signal(pid: int, which: signal.Signals) -> bool:
    """False where the process is gone."""
    try:
        os.kill(pid, which)
    except ProcessLookupError:
        return False
    return True


def other_clock(offset: str) -> dict[str, str]:
    """The environment in which a program's clock is off by so much, such as `+120s`. Raises without faketime.

    `faketime` itself would stand between us and the program: it forks, and our signals would end it alone.
    """
    if shutil.which("faketime") is None:
        raise RuntimeError("faketime is missing: apt-get install faketime")
    shown = subprocess.run(
        ["faketime", "-f", offset, "env"], capture_output=True, text=True, check=True
    ).stdout
    library = next(line for line in shown.splitlines() if line.startswith("LD_PRELOAD="))
    return {"LD_PRELOAD": library.partition("=")[2], "FAKETIME": offset}


@dataclass
class System:
    """Its processes can be killed, paused and started again one by one; all end with the test's own process."""

    folder: Path
    gemini_url: str
    seed: int
    redis_port: int = field(default_factory=allocate_port)
    web_port: int = field(default_factory=allocate_port)
    secret: str = ""
    settings: dict[str, str] = field(default_factory=dict)  # on top of what every process gets
    recorder_port: int | None = None  # None: nothing is recorded
    planted_fault: str = field(default_factory=lambda: os.environ.get(PLANTED_FAULT, ""))
    valkey: Process | None = None
    recorder: Process | None = None
    web: Process | None = None
    workers: list[Process] = field(default_factory=list)

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs"

    @property
    def trace(self) -> Path:
        return self.folder / TRACE

    @property
    def redis_url(self) -> str:
        return f"redis://127.0.0.1:{self.recorder_port or self.redis_port}/0"

    @property
    def web_url(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def webhook_url(self) -> str:
        return f"{self.web_url}/webhooks/gemini"

    @property
    def environment(self) -> dict[str, str]:
        ours = {
            "GEMINI_API_KEY": "right-key",
            "GEMINI_BASE_URL": self.gemini_url,
            "GEMINI_WEBHOOK_SECRET": self.secret,
            "REDIS_URL": self.redis_url,
            "STORAGE_URL": self.outputs.as_uri(),
            "PORT": str(self.web_port),
            "RETRY_BASE_S": "0.2",
            "RECONCILE_INTERVAL_S": "0",  # what a scenario shows must not be mended by a look at Gemini's list
        }
        return {**os.environ, **ours, **self.settings}

    def start_program(
        self, name: str, argv: Sequence[str], extra: Mapping[str, str] | None = None
    ) -> Process:
        """Any program with our environment; its log is `<name>.log`."""
        with (self.folder / f"{name}.log").open("ab") as log:
            return start(argv, env={**self.environment, **(extra or {})}, stdout=log)

    def start_valkey(self) -> None:
        folder = self.folder / "valkey"
        folder.mkdir(exist_ok=True)
        self.valkey = start_valkey(folder, self.redis_port)

    def start_recorder(self) -> None:
        """Between our processes and Valkey: what every script does is written down, and judged."""
        self.recorder_port = allocate_port()
        ports = str(self.recorder_port), str(self.redis_port)
        argv = [sys.executable, "-m", "tests.chaos.recorder", *ports, str(self.trace)]
        self.recorder = self.start_program("recorder", [*argv, self.planted_fault])
        eventually(self._is_recording, 30, "the recorder's start")

    def _is_recording(self) -> bool:
        with suppress(redis.ConnectionError), redis.Redis.from_url(self.redis_url) as client:
            return bool(client.ping())
        return False

    def kill_valkey(self) -> None:
        assert self.valkey is not None
        self.valkey.kill()
        self.valkey.wait()

    def start_web(self) -> None:
        self.web = self.start_program("web", [sys.executable, "-m", "workers", "serve"])
        eventually(lambda: answers(f"{self.web_url}/health"), 30, "the web process's start")

    @property
    def worker_argv(self) -> list[str]:
        return [sys.executable, "-m", "workers", "worker"]

    def start_worker(
        self, argv: Sequence[str] = ("-m", "workers", "worker"), **extra: str
    ) -> Process:
        worker = self.start_program("worker", [sys.executable, *argv], extra)
        self.workers.append(worker)
        return worker

    def replace_ended_workers(self) -> int:
        """Start a worker for each one that has ended, as a platform would. Gives how many."""
        ended = [worker for worker in self.workers if worker.poll() is not None]
        for worker in ended:
            self.workers.remove(worker)
            self.start_worker()
        return len(ended)

    def command(self, *args: str, timeout_s: float = 300) -> "subprocess.CompletedProcess[str]":
        """Run one of our commands to its end."""
        argv = [sys.executable, "-m", "workers", *args]
        return subprocess.run(
            argv,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def replay(self) -> None:
        result = self.command("replay")
        assert result.returncode == 0, result.stderr

    def log_of(self, name: str = "worker") -> list[dict[str, Any]]:
        """The log lines of all processes of that name."""
        path = self.folder / f"{name}.log"
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def stop_all(self) -> None:
        for process in [*self.workers, self.web, self.recorder, self.valkey]:
            if process is not None:
                send_signal(process.pid, signal.SIGCONT)
                stop(process)


@contextmanager
def running_system(  # noqa: PLR0913 - each of them changes one thing
    folder: Path,
    seed: int,
    *,
    workers: int = 0,
    settings: Mapping[str, str] | None = None,
    unrecorded: str = "",
    gemini: Sequence[str] = (),
) -> Iterator[System]:
    """A whole system for the length of a `with`.

    `unrecorded`: why its scripts are not recorded; empty where they are. `gemini` are options of
    the stand-in.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = (
        "--pending",
        "0.05",
        "--running",
        "0.05",
        "--retry-base",
        "0.2",
        "--disable-after",
        "1000000",
        *gemini,
    )
    with ExitStack() as stack:
        system = System(folder, stack.enter_context(running_sandbox(folder, *options)), seed)
        system.settings.update(settings or {})
        stack.callback(system.stop_all)
        system.secret = register_webhook(system.gemini_url, system.webhook_url)
        system.start_valkey()
        if not unrecorded:
            system.start_recorder()
        system.start_web()
        for _ in range(workers):
            system.start_worker()
        yield system
