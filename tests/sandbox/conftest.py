import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from deploy.sandbox.processes import allocate_port, start, stop
from tests.programs import require_module
from tests.sandbox.callbacks import Callbacks

if TYPE_CHECKING:
    from google import genai
    from google.genai import types

Json = dict[str, Any]
KEY = "a-key"
DEADLINE_S = 15.0
ENDED = {"JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED"}


def wait_for(condition: Callable[[], Any]) -> Any:
    """The first true value of the condition; fails at the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError("the condition never came true")


class Sandbox:
    """A running sandbox, asked over HTTP without an SDK."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self.pid = pid
        self.http = httpx.Client(
            base_url=url, headers={"x-goog-api-key": KEY}, timeout=10, verify=False
        )  # to read the certificates takes longer than a test

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Json:
        answer = self.http.request(method, path, json=body, **options)
        assert answer.is_success, answer.text
        found: Json = answer.json()
        return found

    def create(self, batch: Json, method: str = "batchGenerateContent") -> Json:
        return self.ask("POST", f"/v1beta/models/gemini-3.5-flash:{method}", {"batch": batch})

    def upload(self, lines: bytes, **meta: Any) -> str:
        """Upload in one chunk; gives the file's name."""
        start_headers = {"x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"}
        opened = self.http.post("/upload/v1/files", json={"file": meta}, headers=start_headers)
        headers = {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}
        name: str = self.http.post(
            opened.headers["x-goog-upload-url"], content=lines, headers=headers
        ).json()["file"]["name"]
        return name

    def run(self, batch: Json, method: str = "batchGenerateContent") -> Json:
        """Create a job and wait for its end; gives the operation."""
        return self.ended(self.create(batch, method)["name"])

    def ended(self, name: str) -> Json:
        found: Json = wait_for(
            lambda: (shown := self.ask("GET", f"/v1/{name}")).get("done") and shown
        )
        return found

    def run_lines(self, *entries: Json, display_name: str | None = None) -> list[Json]:
        """Upload the entries, run the job and give the lines of its result file, parsed."""
        name = self.upload(b"".join(json.dumps(entry).encode() + b"\n" for entry in entries))
        ended = self.run({"inputConfig": {"fileName": name}, "displayName": display_name})
        return self.result_lines(ended)

    def result_lines(self, operation: Json) -> list[Json]:
        content = self.http.get(
            f"/v1/{operation['response']['responsesFile']}:download?alt=media"
        ).content
        return [json.loads(line) for line in content.split(b"\n") if line]

    def fault(self, **faults: Any) -> None:
        self.ask("POST", "/sandbox/faults", faults)

    def deliveries(self, batch: str) -> list[Json]:
        return [
            found
            for found in self.ask("GET", "/sandbox/ledger")["deliveries"]
            if found["batch"] == batch
        ]


@contextmanager
def running_sandbox(log: Path, *options: str) -> Iterator[Sandbox]:
    port = allocate_port()
    quick = ("--pending", "0.05", "--running", "0.05", "--retry-base", "0.05")
    argv = [sys.executable, "-m", "deploy.sandbox", "serve", "--port", str(port), *quick, *options]
    with log.open("wb") as output:
        process = start(argv, env=dict(os.environ), stdout=output)
    sandbox = Sandbox(f"http://127.0.0.1:{port}", process.pid)
    try:
        wait_for(lambda: sandbox.url in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield sandbox
    finally:
        sandbox.http.close()
        stop(process)


@pytest.fixture(scope="session")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox") / "log") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Iterator[Sandbox]:
    yield shared_sandbox
    shared_sandbox.ask("DELETE", "/sandbox/state")


@pytest.fixture
def start_sandbox(tmp_path: Path) -> Iterator[Callable[..., Sandbox]]:
    """Start a sandbox with options of its own."""
    with ExitStack() as stack:
        yield lambda *options: stack.enter_context(running_sandbox(tmp_path / "log", *options))


@pytest.fixture(scope="session")
def shared_client(shared_sandbox: Sandbox) -> "Iterator[genai.Client]":
    require_module("google.genai")
    from google import genai  # noqa: PLC0415 - only `.[test-all]` installs it
    from google.genai import types  # noqa: PLC0415 - likewise

    options = types.HttpOptions(base_url=shared_sandbox.url)
    with genai.Client(api_key=KEY, http_options=options) as made:
        yield made


@pytest.fixture
def client(sandbox: Sandbox, shared_client: "genai.Client") -> "genai.Client":  # noqa: ARG001 - the sandbox is emptied after
    """The official SDK; nothing but its base URL is changed."""
    return shared_client


@pytest.fixture
def wait_job(client: "genai.Client") -> "Callable[[str], types.BatchJob]":
    """The guide's polling loop with shorter sleeps."""
    from google.genai import types  # noqa: PLC0415 - only `.[test-all]` installs it

    def wait(name: str) -> types.BatchJob:
        def ended() -> types.BatchJob | None:
            job = client.batches.get(name=name)
            assert job.state is not None
            return job if job.state.name in ENDED else None

        job = wait_for(ended)
        assert isinstance(job, types.BatchJob)
        return job

    return wait


@pytest.fixture
def callbacks() -> Iterator[Callbacks]:
    with Callbacks() as running:
        yield running
