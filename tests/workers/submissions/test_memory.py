import subprocess
import sys
from pathlib import Path

# A process that exec starts counts the memory of pytest, which it replaces: one in between does not.
IN_BETWEEN = "import subprocess, sys; subprocess.run(sys.argv[1:], check=True)"
LIMIT_KIB = 128 * 1024
MORE_KIB = 12 * 1024


def peak_kib(folder: Path, requests: int) -> int:
    folder.mkdir()
    program = [sys.executable, "-m", "tests.workers.submissions.million"]
    command = [sys.executable, "-c", IN_BETWEEN, *program, str(folder), str(requests)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=300)
    return int(done.stdout)


def test_memory_does_not_grow_with_the_requests(tmp_path: Path) -> None:
    """A million take 65 MiB; what is kept of each request in memory would show."""
    few, many = peak_kib(tmp_path / "few", 60_000), peak_kib(tmp_path / "many", 120_000)
    assert many < LIMIT_KIB
    assert many - few < MORE_KIB, f"{few} KiB, then {many} KiB"
