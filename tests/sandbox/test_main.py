import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx

from deploy.sandbox.processes import start
from tests.sandbox.conftest import KEY, Sandbox, running_sandbox, wait_for


def test_only_named_key_is_accepted(start_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = start_sandbox("--api-key", "right")
    refused = sandbox.http.get("/v1/batches")
    assert refused.status_code == 400
    assert refused.json()["error"]["details"][0]["reason"] == "API_KEY_INVALID"
    assert sandbox.http.get("/v1/batches", headers={"x-goog-api-key": "right"}).json() == {}


def test_taken_port_is_said_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        argv = [sys.executable, "-m", "deploy.sandbox", "serve", "--port", port]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"Error: port {port} of 127.0.0.1 cannot be used (Address already in use): stop"
    )


def test_data_folder_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with running_sandbox(tmp_path / "log", "--data", str(folder)) as sandbox:
        sandbox.upload(b"hello")
    assert [path.read_bytes() for path in folder.iterdir()] == [b"hello"]


def test_sigterm_removes_temporary_folder(tmp_path: Path) -> None:
    log = tmp_path / "log"
    argv = [sys.executable, "-m", "deploy.sandbox", "serve"]
    with log.open("wb") as output:
        process = start(argv, env={"TMPDIR": str(tmp_path)}, stdout=output)
    wait_for(lambda: "http://127.0.0.1:" in log.read_text())
    url = log.read_text().split()[-1]
    assert httpx.get(f"{url}/v1/batches", headers={"x-goog-api-key": KEY}).json() == {}
    assert list(tmp_path.glob("gemini-sandbox-*"))
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert not list(tmp_path.glob("gemini-sandbox-*"))


def test_help_lists_all_commands() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "deploy.sandbox", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "demo" in shown.stdout
    assert "serve" in shown.stdout
    assert "trigger" in shown.stdout


def test_serve_imports_no_product() -> None:
    code = "import sys, deploy.sandbox.__main__; print({m.split('.')[0] for m in sys.modules} & {'receiver', 'workers'})"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
