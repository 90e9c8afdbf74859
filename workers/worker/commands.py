"""Our own commands in child processes: a worker forks for every job, so it can't use threads."""

import subprocess
import sys


def run_command(*words: str) -> int:
    """Run one of our commands and wait for it. It logs its errors itself. Gives its exit code."""
    # -P: a folder `workers` in the working folder is somebody else's
    argv = (sys.executable, "-P", "-m", "workers", "--log-errors", *words)
    nowhere = subprocess.DEVNULL
    # Left open, descriptors let Python spawn: else it waits on a pipe that a work-horse, forked
    # just then, holds open.
    return subprocess.run(
        argv, stdin=nowhere, stdout=nowhere, close_fds=False, check=False
    ).returncode
