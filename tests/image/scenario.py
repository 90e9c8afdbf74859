"""The services of the compose files, run, killed and restarted, with batches in between."""

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.image.compose import run_arguments, services
from tests.image.engine import Done, Engine
from tests.waiting import eventually

OUR_USER = 10001  # of the image
STARTED_S = 60
STORED_S = 120
KEY_FILE = "gemini_api_key"
SECRET_FILE = "gemini_webhook_secret"
WEB = "http://127.0.0.1:8000"
PROGRAM = "gemini-batch-receiver"


@dataclass(frozen=True)
class Stack:
    """What `docker compose -f compose.yaml -f compose.sandbox.yaml up` would run."""

    engine: Engine
    secrets: Path

    def start(self) -> None:
        """As deploy/README.md says, each service after what it depends on."""
        self._write(KEY_FILE, "any")
        self._run("sandbox", "--detach", "--add-host", "redis:127.0.0.1")
        self._run("redis", "--detach")
        self.wait("redis")
        self._write(SECRET_FILE, self._register())
        for name in ("web", "worker"):
            self._run(name, "--detach")
            self.wait(name)

    def _register(self) -> str:
        """The secret that `docker compose run --rm -T worker … webhooks create` prints."""
        once = {key: value for key, value in services()["worker"].items() if key != "restart"}
        once["command"] = [PROGRAM, "webhooks", "create", "--url", WEB]

        def create() -> str:
            return self.engine.attempt(
                "run", "--rm", *run_arguments("create", once, self.secrets)
            ).stdout.strip()

        return eventually(create, STARTED_S, "the sandbox's first answer")

    def _run(self, name: str, *flags: str) -> None:
        self.engine.run("run", *flags, *run_arguments(name, services()[name], self.secrets))

    def _write(self, name: str, text: str) -> None:
        path = self.secrets / name
        path.write_text(text)
        path.chmod(0o400)
        os.chown(path, OUR_USER, OUR_USER)

    def wait(self, name: str) -> None:
        """Until it runs, and is healthy if it has a check."""
        eventually(lambda: self._is_up(name), STARTED_S, f"the start of {name}")

    def _is_up(self, name: str) -> bool:
        state = json.loads(self.engine.inspect(name, "json .State"))
        is_running = state["Running"] and not state["Restarting"]
        return bool(is_running) and state.get("Health", {}).get("Status", "healthy") in {
            "healthy",
            "none",
        }

    def kill(self, name: str) -> None:
        """SIGKILL to its first process, unknown to the engine; `restart: always` brings it back."""
        restarts = int(self.engine.inspect(name, ".RestartCount"))
        os.kill(int(self.engine.inspect(name, ".State.Pid")), signal.SIGKILL)
        eventually(
            lambda: int(self.engine.inspect(name, ".RestartCount")) > restarts,
            STARTED_S,
            f"the restart of {name}",
        )
        self.wait(name)

    def restart(self, name: str) -> None:
        """As a deploy does it: SIGTERM, and no SIGKILL may be needed."""
        self.engine.run("stop", name)
        code = int(self.engine.inspect(name, ".State.ExitCode"))
        assert code != 128 + signal.SIGKILL, f"{name} did not end in its time"
        self.engine.run("start", name)
        self.wait(name)

    def store(self, display_name: str) -> None:
        """Submit a batch and wait for its verified outputs."""
        lines = [
            json.dumps({"key": key, "request": {"contents": [{"parts": [{"text": key}]}]}})
            for key in ("first", "second", "third")
        ]
        submit = f"cat > /tmp/requests.jsonl && {PROGRAM} batches submit /tmp/requests.jsonl"
        submit += f" --model gemini-3.5-flash --display-name {display_name} --wait"
        argv = ["exec", "--interactive", "worker", "sh", "-c", submit]
        self.engine.run(*argv, stdin="\n".join(lines) + "\n", timeout_s=STORED_S)
        show = ["exec", "worker", PROGRAM, "submissions", "show", display_name, "--json"]
        (part,) = json.loads(self.engine.run(*show))["parts"]
        self.engine.run("exec", "worker", PROGRAM, "verify", part["batch"])

    def status(self, name: str) -> Done:
        return self.engine.attempt("exec", name, PROGRAM, "status")

    def require_calm(self, when: str) -> None:
        """`status` in both processes' containers has nothing to say to anybody."""
        for name in ("web", "worker"):
            done = self.status(name)
            if done.code != 0:
                raise RuntimeError(f"{when}, status in {name} is not calm: {done}")


def run(stack: Stack) -> Iterator[str]:
    """Start everything, then kill and restart each service. Gives a line after each step."""
    stack.start()
    eventually(lambda: stack.status("web").code == 0, STARTED_S, "status without an alarm")
    stack.store("start")
    stack.require_calm("after a batch")
    yield "start: a batch is stored and verified"
    for name in ("web", "worker", "redis"):
        for way in (stack.kill, stack.restart):
            way(name)
            stack.store(f"{way.__name__}-{name}")
            stack.require_calm(f"after {way.__name__} of {name}")
            yield f"{way.__name__} of {name}: a batch is stored and verified"
