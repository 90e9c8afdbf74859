"""The demo: the whole system as real processes on one machine, from a requests file to stored answers."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click
import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from deploy.sandbox.processes import allocate_port, start, stop
from deploy.sandbox.valkey import start_valkey

REQUESTS = Path(__file__).with_name("requests.jsonl")
MODEL = "gemini-3.8-flash"
API_KEY = "sandbox-key"
START_TIMEOUT_S = 20.0
JOB_TIMEOUT_S = 60.0
SHOWN_NAMES = 8
SKY = {
    "request": {"contents": [{"parts": [{"text": "Why is the sky blue?"}]}]},
    "metadata": {"key": "sky"},
}
INLINE_EXAMPLE = json.dumps({"batch": {"input_config": {"requests": {"requests": [SKY]}}}})


@dataclass(frozen=True)
class Running:
    """Where the demo's processes are."""

    folder: Path
    gemini_url: str
    web_url: str
    redis_url: str
    environment: dict[str, str]

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs"


class DemoError(click.ClickException):
    """The demo did not reach its end."""


def _wait(what: str, condition: Callable[[], Any], timeout_s: float) -> Any:
    """The condition's first true value. Raises DemoError at the deadline."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise DemoError(
        f"{what} did not happen within {timeout_s:.0f} s; the logs are in the demo's folder (use --keep)"
    )


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).is_success
    except httpx.TransportError:
        return False


def _launch(
    stack: ExitStack, folder: Path, name: str, argv: list[str], env: dict[str, str]
) -> None:
    with (folder / f"{name}.log").open("ab") as log:
        process = start([sys.executable, "-m", *argv], env=env, stdout=log)
    stack.callback(stop, process)


@contextmanager
def _running(folder: Path, port: int | None) -> Iterator[Running]:
    """Valkey, the stand-in of Gemini, the web process and a worker; all end with the `with`."""
    with ExitStack() as stack:
        gemini_port, web_port, redis_port = (
            allocate_port(),
            port or allocate_port(),
            allocate_port(),
        )
        gemini_url, web_url = f"http://127.0.0.1:{gemini_port}", f"http://127.0.0.1:{web_port}"
        redis_url = f"redis://127.0.0.1:{redis_port}/0"
        data = folder / "valkey"
        data.mkdir()
        stack.callback(stop, start_valkey(data, redis_port))
        serve = [
            "deploy.sandbox",
            "serve",
            "--port",
            str(gemini_port),
            "--data",
            str(folder / "gemini"),
        ]
        _launch(stack, folder, "gemini", serve, dict(os.environ))
        _wait(
            "the stand-in's start",
            lambda: _answers(f"{gemini_url}/.well-known/jwks.json"),
            START_TIMEOUT_S,
        )
        click.echo(f"  Valkey          {redis_url}\n  Gemini stand-in {gemini_url}")
        environment = dict(os.environ) | {
            "GEMINI_API_KEY": API_KEY,
            "GEMINI_BASE_URL": gemini_url,
            "GEMINI_WEBHOOK_SECRET": _register_webhook(gemini_url, f"{web_url}/webhooks/gemini"),
            "REDIS_URL": redis_url,
            "STORAGE_URL": (folder / "outputs").as_uri(),
            "HOST": "127.0.0.1",
            "PORT": str(web_port),
            "STATUS_TOKEN": secrets.token_hex(16),
        }
        _launch(stack, folder, "web", ["workers", "serve"], environment)
        _launch(stack, folder, "worker", ["workers", "worker"], environment)
        _wait("the web process's start", lambda: _answers(f"{web_url}/ready"), START_TIMEOUT_S)
        click.echo(f"  web process     {web_url}/webhooks/gemini\n  worker          1 process")
        yield Running(folder, gemini_url, web_url, redis_url, environment)


def _call(method: str, url: str, **options: Any) -> Any:
    response = httpx.request(
        method, url, headers={"x-goog-api-key": API_KEY} | options.pop("headers", {}), **options
    )
    response.raise_for_status()
    return response.json() if response.content else response.headers


def _register_webhook(gemini_url: str, uri: str) -> str:
    """Register the webhook as a user would. Gives its signing secret."""
    body = {
        "name": "demo",
        "uri": uri,
        "subscribed_events": [
            "batch.succeeded",
            "batch.failed",
            "batch.cancelled",
            "batch.expired",
        ],
    }
    secret: str = _call("POST", f"{gemini_url}/v1beta/webhooks", json=body)["new_signing_secret"]
    return secret


def _submit(gemini_url: str, requests: Path) -> str:
    """Upload the requests file and create a batch from it, as the guide's REST samples do. Gives the batch's name."""
    data = requests.read_bytes()
    begin = {"x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"}
    about = {"file": {"display_name": requests.name, "mime_type": "jsonl"}}
    started = _call("POST", f"{gemini_url}/upload/v1beta/files", json=about, headers=begin)
    finish = {"x-goog-upload-offset": "0", "x-goog-upload-command": "upload, finalize"}
    file = _call("POST", started["x-goog-upload-url"], content=data, headers=finish)["file"]["name"]
    batch = {"batch": {"display_name": "demo", "input_config": {"file_name": file}}}
    name: str = _call(
        "POST", f"{gemini_url}/v1beta/models/{MODEL}:batchGenerateContent", json=batch
    )["name"]
    return name


def _watch(running: Running, batch: str) -> dict[str, Any]:
    """Follow the job until the manifest is there, with a bar on a terminal. Gives the manifest."""
    manifest = running.outputs / batch.removeprefix("batches/") / "_manifest.json"
    seen: dict[str, None] = {}
    columns = (TextColumn("  {task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    is_quiet = not console.is_terminal or console.is_dumb_terminal
    with Progress(
        *columns, console=console, transient=True, redirect_stdout=False, disable=is_quiet
    ) as progress:
        task = progress.add_task("", total=None)

        def look() -> bool:
            about = _call("GET", f"{running.gemini_url}/v1beta/{batch}")["metadata"]
            stats = {name: int(count) for name, count in about["batchStats"].items()}
            done = stats["requestCount"] - stats.get("pendingRequestCount", 0)
            progress.update(
                task, description=about["state"], completed=done, total=stats["requestCount"]
            )
            seen[about["state"]] = None
            return manifest.exists()

        _wait("the stored manifest", look, JOB_TIMEOUT_S)
    click.echo(f"  {' → '.join(seen)}")
    found: dict[str, Any] = json.loads(manifest.read_bytes())
    return found


def _check_keys(requests: Path, outputs: Path, batch: str) -> list[str]:
    """What is wrong with the outputs, judged from the requests and the files alone."""
    asked = Counter(json.loads(line)["key"] for line in requests.read_text().splitlines())
    folder = outputs / batch.removeprefix("batches/")
    stored: Counter[str] = Counter()
    for path in folder.glob("*.json"):
        if not path.name.startswith("_"):
            stored[json.loads(path.read_bytes())["key"]] += 1
    failed = Counter(
        json.loads(line)["key"] for line in (folder / "_errors.jsonl").read_text().splitlines()
    )
    together = stored + failed
    problems = [f"{key} was asked for and did not arrive" for key in asked if key not in together]
    problems += [
        f"{key} arrived {count} times" for key, count in together.items() if count != asked[key]
    ]
    return problems


def _show(running: Running, batch: str, manifest: dict[str, Any]) -> None:
    folder = running.outputs / batch.removeprefix("batches/")
    names = sorted(path.name for path in folder.iterdir())
    plain = [name for name in names if not name.startswith("_")]
    click.echo(f"\n{folder}/")
    for name in [name for name in names if name.startswith("_")] + plain[:SHOWN_NAMES]:
        click.echo(f"  {name}")
    click.echo(f"  … and {len(plain) - SHOWN_NAMES} more\n")
    outcomes = {name: count for name, count in manifest["outcomes"].items() if count}
    click.echo(
        f"manifest: {manifest['requests']} requests, {outcomes}, missing {manifest['missing']}"
    )
    shown = folder / next(name for name in plain if name.startswith("text"))
    row = json.loads(shown.read_bytes())
    click.echo(
        f"answer to {row['key']}: {row['response']['candidates'][0]['content']['parts'][0]['text'][:200]}"
    )


def _explain(running: Running) -> None:
    click.echo(
        f"\nLook at it: {running.web_url}/status with the token {running.environment['STATUS_TOKEN']}\n"
        f"\nEverything keeps running; Ctrl-C stops it. Logs and outputs are in {running.folder}\n"
        f"\n  curl {running.gemini_url}/v1beta/models/{MODEL}:batchGenerateContent"
        f" -H 'x-goog-api-key: {API_KEY}' -d '{INLINE_EXAMPLE}'"
        f"\n  curl {running.gemini_url}/v1beta/batches -H 'x-goog-api-key: {API_KEY}'\n"
        f"\n  from google import genai  # pip install google-genai"
        f"\n  client = genai.Client(api_key='{API_KEY}', http_options={{'base_url': '{running.gemini_url}'}})"
        f"\n  client.batches.create(model='{MODEL}', src=[{{'contents': 'Why is the sky blue?'}}])\n"
        f"\n  REDIS_URL={running.redis_url}\n"
    )


def _stop_on_sigterm(_signum: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


@click.command()
@click.option(
    "--keep", is_flag=True, help="Leave everything running until Ctrl-C and print how to use it."
)
@click.option("--port", type=int, help="Port of the web process (default: a free one).")
def demo(*, keep: bool, port: int | None) -> None:
    """Run the whole system against a stand-in of Gemini: no account, no network."""
    signal.signal(signal.SIGTERM, _stop_on_sigterm)
    folder = Path(tempfile.mkdtemp(prefix="gemini-batch-demo-"))
    try:
        click.echo("starting")
        with _running(folder, port) as running:
            batch = _submit(running.gemini_url, REQUESTS)
            count = len(REQUESTS.read_text().splitlines())
            click.echo(f"submitted {count} requests as {batch}")
            manifest = _watch(running, batch)
            _show(running, batch, manifest)
            if problems := _check_keys(REQUESTS, running.outputs, batch):
                raise DemoError("\n".join(problems))
            click.echo(f"every one of the {count} keys arrived exactly once")
            if keep:
                _explain(running)
                threading.Event().wait()
    except subprocess.SubprocessError as error:
        raise DemoError(str(error)) from error
    except KeyboardInterrupt:
        click.echo("\nstopped")
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
