"""Starts the whole service for the demo: Valkey, the stand-in, the web process and a worker."""

import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import httpx

from deploy.sandbox.processes import start, stop
from deploy.sandbox.valkey import start_valkey

API_KEY = "sandbox-key"
START_TIMEOUT_S = 20.0
LOG_LINES = 5  # of each process, shown after a failure
ROOT = Path(__file__).parents[3]
# what the demo's processes get of the user's environment: no setting, and so no secret
INHERITED = (
    "PATH",
    "HOME",
    "LANG",
    "LC_",
    "TZ",
    "TMPDIR",
    "VIRTUAL_ENV",
    "PYTHON",
    "LD_LIBRARY_PATH",
)
EVENTS = ["batch.succeeded", "batch.failed", "batch.cancelled", "batch.expired"]


class DemoError(click.ClickException):
    """The demo did not get to its end."""


@dataclass(frozen=True)
class Service:
    """Where the demo's processes are, and the settings of the web process and the worker."""

    folder: Path
    gemini_url: str
    web_url: str
    settings: Mapping[str, str]

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs"


@contextmanager
def running_service(folder: Path, port: int | None) -> Iterator[Service]:
    """Run everything in `folder` for the length of the `with`; the web process at `port`."""
    web_port, gemini_port, redis_port = _choose_ports(port)
    service = _plan_service(folder, web_port, gemini_port, redis_port)
    with ExitStack() as stack:
        (folder / "valkey").mkdir()
        stack.callback(stop, start_valkey(folder / "valkey", redis_port))

        stand_in = ["deploy.sandbox", "serve", "--port", str(gemini_port)]
        _launch(stack, folder, "gemini", [*stand_in, "--data", str(folder / "gemini")], {})
        wait_until("the start of the stand-in", lambda: _is_up(service.gemini_url), START_TIMEOUT_S)
        click.echo(f"  Valkey          {service.settings['REDIS_URL']}")
        click.echo(f"  Gemini stand-in {service.gemini_url}")

        secret = _register_webhook(service)
        settings = {**service.settings, "GEMINI_WEBHOOK_SECRET": secret}
        _launch(stack, folder, "web", ["workers", "serve"], settings)
        _launch(stack, folder, "worker", ["workers", "worker"], settings)
        ready = f"{service.web_url}/ready"
        wait_until("the start of the web process", lambda: _answers(ready), START_TIMEOUT_S)
        click.echo(f"  web process     {service.web_url}/webhooks/gemini")
        click.echo("  worker          1 process")

        yield Service(folder, service.gemini_url, service.web_url, settings)


def wait_until(what: str, condition: Callable[[], Any], timeout_s: float) -> Any:
    """The first true value of the condition. Raises DemoError at the deadline."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise DemoError(f"{what} did not happen within {timeout_s:.0f} s")


def call(method: str, url: str, **options: Any) -> Any:
    """A request to the stand-in. Gives the JSON, or the headers of an answer without a body."""
    headers = {"x-goog-api-key": API_KEY} | options.pop("headers", {})
    response = httpx.request(method, url, headers=headers, **options)
    response.raise_for_status()
    return response.json() if response.content else response.headers


def last_log_lines(folder: Path) -> str:
    """The end of every process's log, for the message after a failure."""
    logs = [folder / "valkey" / "valkey.log", *sorted(folder.glob("*.log"))]
    return "\n".join(
        f"{log.name}:\n" + "\n".join(f"  {line}" for line in _tail(log))
        for log in logs
        if log.exists()
    )


def _tail(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-LOG_LINES:]


def _choose_ports(web_port: int | None) -> tuple[int, int, int]:
    """Free loopback ports, all held open until all are chosen, so that they differ."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        first, second, third = (int(listener.getsockname()[1]) for listener in listeners)
    return web_port or first, second, third


def _plan_service(folder: Path, web_port: int, gemini_port: int, redis_port: int) -> Service:
    gemini_url, web_url = f"http://127.0.0.1:{gemini_port}", f"http://127.0.0.1:{web_port}"
    settings = {
        "GEMINI_API_KEY": API_KEY,
        "GEMINI_BASE_URL": gemini_url,
        "PUBLIC_URL": web_url,
        "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
        "STORAGE_URL": (folder / "outputs").as_uri(),
        "SCRATCH_DIR": str(folder),
        "HOST": "127.0.0.1",
        "PORT": str(web_port),
        "STATUS_TOKEN": secrets.token_hex(16),
        "RECEIVER_ENV_FILE": "none",  # a .env that is here is for the real service
    }
    return Service(folder, gemini_url, web_url, settings)


def _launch(
    stack: ExitStack, folder: Path, name: str, argv: list[str], settings: Mapping[str, str]
) -> None:
    """Start `python -m …` in the folder, with these settings and no others."""
    inherited = {key: value for key, value in os.environ.items() if key.startswith(INHERITED)}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**inherited, "PYTHONPATH": path, **settings}
    with (folder / f"{name}.log").open("ab") as log:
        process = start([sys.executable, "-m", *argv], env=environment, cwd=folder, stdout=log)
    stack.callback(stop, process)


def _is_up(gemini_url: str) -> bool:
    return _answers(f"{gemini_url}/.well-known/jwks.json")


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).is_success
    except httpx.TransportError:
        return False


def _register_webhook(service: Service) -> str:
    """Register the webhook as a user would. Gives its signing secret."""
    uri = f"{service.web_url}/webhooks/gemini"
    body = {"name": "demo", "uri": uri, "subscribed_events": EVENTS}
    answer = call("POST", f"{service.gemini_url}/v1beta/webhooks", json=body)
    secret: str = answer["new_signing_secret"]
    return secret
