"""Starts the server, turns its knobs and asks what it saw."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from deploy.sandbox.processes import allocate_port, start, stop
from tests.running import CLIENT, answers
from tests.waiting import eventually


@dataclass(frozen=True)
class ObjectServer:
    url: str

    def turn(self, **knobs: object) -> None:
        """Set the knobs of `faults.Knobs` anew, and count from zero. `empty=True` also removes all objects."""
        CLIENT.post(f"{self.url}/-/knobs", json=knobs).raise_for_status()

    def seen(self) -> Any:
        """The server's counts."""
        return CLIENT.get(f"{self.url}/-/seen").raise_for_status().json()

    def holds(self, name: str) -> bool:
        """Whether there is an object of this name."""
        return CLIENT.head(f"{self.url}/bucket/{name}").is_success

    def environment(self) -> dict[str, str]:
        """What leads every client of S3 here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@contextmanager
def running_object_server(*, keep: bool = True) -> Iterator[ObjectServer]:
    """The server as a process; without `keep` it remembers sizes and digests only."""
    port = allocate_port()
    server = ObjectServer(f"http://127.0.0.1:{port}")
    process = start(
        [sys.executable, "-m", "tests.object_server", str(port), *(["keep"] if keep else [])]
    )
    try:
        eventually(lambda: answers(f"{server.url}/-/seen"), 20, "the object server's start")
        yield server
    finally:
        stop(process)
