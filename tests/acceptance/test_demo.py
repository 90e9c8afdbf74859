"""The README's first command, and what it leaves behind: nothing."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.sandbox.processes import start, stop
from tests.programs import reading_files
from tests.running import CLIENT
from tests.waiting import eventually

DEMO = [sys.executable, "-m", "deploy.sandbox"]


def ports_in(text: str) -> list[int]:
    return [int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", text)]


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_demo_shows_every_key_stored(tmp_path: Path) -> None:
    env = reading_files() | {
        "TMPDIR": str(tmp_path),
        "OUTPUT_FORM": "no setting",
        "NOTIFY_URL": "wrong",
    }
    result = subprocess.run(DEMO, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "every one of the 306 keys arrived exactly once" in result.stdout
    assert "_manifest.json" in result.stdout
    assert "answer to text-001:" in result.stdout
    assert "'../../escape' " in result.stdout
    assert " -m deploy.sandbox --keep\n" in result.stdout
    assert list(tmp_path.iterdir()) == []
    assert not any(is_listening(port) for port in ports_in(result.stdout))


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_kept_demo_ends_without_a_trace(tmp_path: Path, ending: signal.Signals) -> None:
    output, temporary = tmp_path / "output", tmp_path / "temporary"
    temporary.mkdir()
    (tmp_path / ".env").write_text("OUTPUT_TEMPLATE=of the real service\n")
    env = reading_files() | {"TMPDIR": str(temporary)}
    with output.open("wb") as file:
        process = start([*DEMO, "--keep"], env=env, cwd=tmp_path, stdout=file)
    try:
        eventually(lambda: "Ctrl-C stops it" in output.read_text(), 60)
        text = output.read_text()
        ports = set(ports_in(text))
        assert len(ports) == 3
        assert all(is_listening(port) for port in ports)
        address, token = re.findall(
            r"^Look at it: (\S+) with the token (\w+)$", text, re.MULTILINE
        )[0]
        shown = CLIENT.get(address, headers={"authorization": f"Bearer {token}"})
        assert (shown.status_code, "Last stored" in shown.text) == (200, True)
        for command in re.findall(r"^ *(curl .*)$", text, re.MULTILINE):
            answer = subprocess.run(
                ["bash", "-c", f"{command} -sf"], capture_output=True, timeout=10, check=True
            )
            assert b"batches/" in answer.stdout
        shown_commands = re.findall(r"^  (\. /.*|/.*gemini-batch-receiver .*)$", text, re.MULTILINE)
        told = subprocess.run(
            ["bash", "-c", "\n".join(shown_commands)],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert b"stored; 8 blocked, 4 truncated" in told.stdout
        assert re.search(rb"^submitted as submissions/\w+ \(1 request", told.stdout, re.MULTILINE)
        process.send_signal(ending)
        process.wait(20)
        eventually(lambda: not any(is_listening(port) for port in ports), 10)
        assert ending is signal.SIGKILL or list(temporary.iterdir()) == []
    finally:
        stop(process)
