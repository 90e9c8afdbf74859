"""The demo: the whole service on one machine, from a requests file to stored answers."""

import json
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from deploy.sandbox.demo.report import (
    MODEL,
    find_wrong_keys,
    show_batch,
    show_next_steps,
    show_usage,
)
from deploy.sandbox.demo.service import (
    DemoError,
    Service,
    call,
    last_log_lines,
    running_service,
    wait_until,
)

REQUESTS = Path(__file__).with_name("requests.jsonl")
JOB_TIMEOUT_S = 60.0


@click.command()
@click.option(
    "--keep", is_flag=True, help="Keep everything running until Ctrl-C, and say how to use it."
)
@click.option("--port", type=int, help="Port of the web process (default: a free one).")
def demo(*, keep: bool, port: int | None) -> None:
    """
    Run the whole service against a stand-in for Gemini: no account, no network.

    It removes its files at the end.

    \b
    Example:
      python -m deploy.sandbox --keep --port 8000
    """  # noqa: D301 - \b is click's mark for lines to keep
    signal.signal(signal.SIGTERM, _stop_on_sigterm)
    try:
        with _folder() as folder:
            _run(folder, port, keep=keep)
    except KeyboardInterrupt:
        click.echo("\nstopped")


def _run(folder: Path, port: int | None, *, keep: bool) -> None:
    click.echo("starting")
    with running_service(folder, port) as service:
        batch = _submit(service.gemini_url)
        count = len(REQUESTS.read_text().splitlines())
        click.echo(f"submitted {count} requests as {batch}")

        stored = service.outputs / batch.removeprefix("batches/")
        manifest = _watch(service, batch, stored / "_manifest.json")
        show_batch(stored, manifest)
        if problems := find_wrong_keys(REQUESTS, stored):
            raise DemoError("\n".join(problems))
        click.echo(f"every one of the {count} keys arrived exactly once")

        if keep:
            show_usage(service, batch)
            threading.Event().wait()
    show_next_steps()


@contextmanager
def _folder() -> Iterator[Path]:
    """A temporary folder that is gone at the end; after a failure the logs are shown first."""
    folder = Path(tempfile.mkdtemp(prefix="gemini-batch-demo-"))
    try:
        yield folder
    except (DemoError, subprocess.SubprocessError, RuntimeError) as error:
        raise DemoError(f"{error}\n{last_log_lines(folder)}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _submit(gemini_url: str) -> str:
    """Upload the requests and create a batch, as the guide's REST samples do. Gives its name."""
    data = REQUESTS.read_bytes()
    begin = {"x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"}
    about = {"file": {"display_name": REQUESTS.name, "mime_type": "jsonl"}}
    started = call("POST", f"{gemini_url}/upload/v1beta/files", json=about, headers=begin)
    finish = {"x-goog-upload-offset": "0", "x-goog-upload-command": "upload, finalize"}
    file = call("POST", started["x-goog-upload-url"], content=data, headers=finish)["file"]["name"]
    batch = {"batch": {"display_name": "demo", "input_config": {"file_name": file}}}
    url = f"{gemini_url}/v1beta/models/{MODEL}:batchGenerateContent"
    name: str = call("POST", url, json=batch)["name"]
    return name


def _watch(service: Service, batch: str, manifest: Path) -> dict[str, Any]:
    """Follow the job until the manifest exists, with a bar on a terminal. Gives the manifest."""
    seen: dict[str, None] = {}
    columns = (TextColumn("  {task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    is_quiet = not console.is_terminal or console.is_dumb_terminal
    with Progress(
        *columns, console=console, transient=True, redirect_stdout=False, disable=is_quiet
    ) as progress:
        task = progress.add_task("", total=None)

        def look() -> bool:
            about = call("GET", f"{service.gemini_url}/v1beta/{batch}")["metadata"]
            stats = {name: int(count) for name, count in about["batchStats"].items()}
            done = stats["requestCount"] - stats.get("pendingRequestCount", 0)
            progress.update(
                task, description=about["state"], completed=done, total=stats["requestCount"]
            )
            seen[about["state"]] = None
            return manifest.exists()

        wait_until("the stored manifest", look, JOB_TIMEOUT_S)
    click.echo(f"  {' → '.join(seen)}")
    found: dict[str, Any] = json.loads(manifest.read_bytes())
    return found


def _stop_on_sigterm(_signum: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
