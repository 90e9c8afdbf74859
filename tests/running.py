"""Real processes for tests: they get ports from the allocator and die with the test run."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from deploy.sandbox.processes import allocate_port, start, stop
from tests.waiting import eventually


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1, trust_env=False).is_success
    except httpx.TransportError:
        return False


@contextmanager
def running_sandbox(folder: Path, *options: str) -> Iterator[str]:
    """The stand-in of Gemini as a process; gives its URL."""
    port = allocate_port()
    url = f"http://127.0.0.1:{port}"
    argv = [sys.executable, "-m", "deploy.sandbox", "serve", "--port", str(port), "--data", str(folder / "gemini")]
    with (folder / "gemini.log").open("ab") as log:
        process = start([*argv, *options], stdout=log)
    try:
        eventually(lambda: answers(f"{url}/.well-known/jwks.json"), 20, "the sandbox's start")
        yield url
    finally:
        stop(process)


@contextmanager
def running_program(folder: Path, settings: Mapping[str, str], *args: str) -> Iterator[int]:
    """`gemini-batch-receiver …` as a process; gives its process id. Its log is `<command>.log` in the folder."""
    with (folder / f"{args[0]}.log").open("ab") as log:
        process = start([sys.executable, "-m", "workers", *args], env={**os.environ, **settings}, stdout=log)
    try:
        yield process.pid
    finally:
        stop(process)
