"""Who takes deliveries: our web process and its peers; how each is started, and how it is seen to have kept them."""

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from deploy.sandbox.processes import start, stop
from tests.bench.figures import ROOT
from tests.bench.ingest.load import GO_SECRET

Kept = Callable[["redis.Redis"], int]


@dataclass(frozen=True)
class Subject:
    name: str
    label: str
    argv: Callable[[int, Path], list[str]]  # of a port and a folder of its own
    kept: Kept | None  # how many deliveries are in Redis; None: it keeps none
    missing: str | None = None  # why it can't run here


def _ours(port: int, _: Path) -> list[str]:
    return [sys.executable, "-m", "workers", "serve", "--port", str(port)]


def _server(name: str) -> Callable[[int, Path], list[str]]:
    return lambda port, _: [sys.executable, "-m", "tests.bench.ingest.servers", name, str(port)]


def _go(port: int, folder: Path) -> list[str]:
    header = {"source": "header", "name": "X-Hook-Signature"}
    rule = {"match": {"type": "payload-hmac-sha256", "secret": GO_SECRET, "parameter": header}}
    hook = {
        "id": "gemini",
        "execute-command": "/bin/true",
        "include-command-output-in-response": True,
    }
    hooks = folder / "hooks.json"
    hooks.write_text(json.dumps([hook | {"trigger-rule": rule}]))
    return [
        "webhook",
        "-hooks",
        str(hooks),
        "-ip",
        "127.0.0.1",
        "-port",
        str(port),
        "-urlprefix",
        "webhooks",
    ]


def _keys(pattern: str) -> Kept:
    return lambda client: sum(1 for _ in client.scan_iter(pattern, count=10_000))


OURS = Subject("ours", "ours: durable 2xx", _ours, _keys("gbr:entry:*"))
CEILING = Subject("ceiling", "Starlette: 200 OK, nothing kept", _server("ceiling"), None)
NAIVE = Subject(
    "naive", "Starlette: standardwebhooks, SET NX, enqueue", _server("naive"), _keys("seen:*")
)
FASTAPI = Subject(
    "fastapi",
    "FastAPI: the same",
    _server("fastapi"),
    _keys("seen:*"),
    None
    if importlib.util.find_spec("fastapi")
    else "fastapi is not installed: pip install -e '.[test-all]'",
)
GO = Subject(
    "go",
    "Go webhook: runs /bin/true",
    _go,
    None,
    None if shutil.which("webhook") else "webhook is missing: apt-get install webhook",
)
SUBJECTS = (CEILING, OURS, NAIVE, FASTAPI, GO)


@contextmanager
def running(subject: Subject, port: int, folder: Path, env: Mapping[str, str]) -> Iterator[int]:
    """The subject's server for the length of a `with`; its log is in the folder.

    Gives its process id.
    """
    with (folder / f"{subject.name}.log").open("ab") as log:
        process = start(subject.argv(port, folder), env={**os.environ, **env}, cwd=ROOT, stdout=log)
    try:
        yield process.pid
    finally:
        stop(process)
