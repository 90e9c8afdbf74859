"""Our own commands in child processes: what a worker, which forks for every job, must not do in threads of its own."""

import subprocess
import sys


def run_command(*words: str) -> int:
    """Run one of our commands and wait for it; it logs for itself, errors too. Gives its exit code."""
    argv, nowhere = (sys.executable, "-m", "workers", "--log-errors", *words), subprocess.DEVNULL
    # Left open, descriptors let Python spawn: else it waits on a pipe that a work-horse forked just then holds open.
    return subprocess.run(
        argv, stdin=nowhere, stdout=nowhere, close_fds=False, check=False
    ).returncode
