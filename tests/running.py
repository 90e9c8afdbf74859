"""Real processes for tests: they get ports from the allocator and die with the test run."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path

import httpx

from deploy.sandbox.processes import allocate_port, start, stop
from tests.waiting import eventually

# One client for all, since making one costs more than most calls. It keeps no cookie: cookies don't
# know ports, so the login of one test would open the page of another.
CLIENT = httpx.Client(trust_env=False, cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])))


def answers(url: str) -> bool:
    try:
        return CLIENT.get(url, timeout=1).is_success
    except httpx.TransportError:
        return False


@contextmanager
def running_sandbox(folder: Path, *options: str) -> Iterator[str]:
    """The stand-in of Gemini as a process; gives its URL."""
    port = allocate_port()
    url = f"http://127.0.0.1:{port}"
    argv = [
        sys.executable,
        "-m",
        "deploy.sandbox",
        "serve",
        "--port",
        str(port),
        "--data",
        str(folder / "gemini"),
    ]
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
        process = start(
            [sys.executable, "-m", "workers", *args], env={**os.environ, **settings}, stdout=log
        )
    try:
        yield process.pid
    finally:
        stop(process)


EVENTS = ["batch.succeeded", "batch.failed", "batch.cancelled", "batch.expired"]
HEADERS = {"x-goog-api-key": "right-key"}


def register_webhook(gemini_url: str, uri: str) -> str:
    """Register a static webhook. Gives its signing secret."""
    body = {"name": "test", "uri": uri, "subscribed_events": EVENTS}
    answer = CLIENT.post(f"{gemini_url}/v1/webhooks", json=body, headers=HEADERS).raise_for_status()
    secret: str = answer.json()["new_signing_secret"]
    return secret


def submit_inline(gemini_url: str, requests: Mapping[str, str], display_name: str = "test") -> str:
    """Create an inline batch of one text a key. Gives its name."""
    rows = [
        {"request": {"contents": [{"parts": [{"text": text}]}]}, "metadata": {"key": key}}
        for key, text in requests.items()
    ]
    return _create(gemini_url, {"requests": {"requests": rows}}, display_name)


def submit_file(gemini_url: str, data: bytes, display_name: str = "test") -> str:
    """Upload a requests file and create a batch from it. Gives its name."""
    begin = {"x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"}
    about = {"file": {"display_name": "requests", "mime_type": "jsonl"}}
    started = CLIENT.post(
        f"{gemini_url}/upload/v1beta/files", json=about, headers=HEADERS | begin
    ).raise_for_status()
    finish = {"x-goog-upload-offset": "0", "x-goog-upload-command": "upload, finalize"}
    file = (
        CLIENT.post(started.headers["x-goog-upload-url"], content=data, headers=finish)
        .raise_for_status()
        .json()
    )
    return _create(gemini_url, {"fileName": file["file"]["name"]}, display_name)


def _create(gemini_url: str, source: Mapping[str, object], display_name: str) -> str:
    batch = {"batch": {"displayName": display_name, "inputConfig": source}}
    url = f"{gemini_url}/v1beta/models/gemini-3.5-flash:batchGenerateContent"
    name: str = CLIENT.post(url, json=batch, headers=HEADERS).raise_for_status().json()["name"]
    return name


def ready_batch(gemini_url: str, **fields: object) -> str:
    """A batch that has ended already, at the stand-in's own door. Gives its name."""
    name: str = (
        CLIENT.post(f"{gemini_url}/sandbox/batches", json=fields).raise_for_status().json()["name"]
    )
    return name


def set_faults(gemini_url: str, **faults: object) -> None:
    """Turn faults of the stand-in's misbehaviour."""
    CLIENT.post(f"{gemini_url}/sandbox/faults", json=faults).raise_for_status()
