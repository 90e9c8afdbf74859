"""A stand-in of Gemini with one batch, whose result file differs each time, and our job."""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
import redis

from receiver.inbox.entries import Entry
from receiver.inbox.ledger import Arrival, Inbox
from receiver.outputs.manifest import Manifest, read_manifest
from receiver.storage.local import LocalStorage
from tests.answering import Answer, answering
from tests.waiting import eventually
from workers.job.context import current_settings
from workers.process import process_batch

NAME = "batches/b1"
PAGE = b"<html>\n<head><title>502 Bad Gateway</title></head>\n<body>\nnginx\n</body>\n</html>\n"
REFUSAL = json.dumps(
    {"error": {"code": 503, "message": "try later", "status": "UNAVAILABLE"}}, indent=2
).encode()
SHORT_REFUSAL = b'{"error":{"code":503,"message":"say \\"response\\"","status":"UNAVAILABLE"}}\n'


def row(key: str) -> dict[str, Any]:
    return {
        "key": key,
        "response": {
            "candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}]
        },
    }


def lines_of(*keys: str) -> bytes:
    return b"".join(json.dumps(row(key)).encode() + b"\n" for key in keys)


@dataclass
class Liar:
    """Attributes may be changed while it answers."""

    client: "redis.Redis"
    storage: LocalStorage
    bodies: list[bytes] = field(
        default_factory=list
    )  # what the file is, one reading after the other; the last one stays
    state: str = "SUCCEEDED"
    stats: dict[str, str] = field(default_factory=dict)
    inlined: list[dict[str, Any]] | None = None
    packed: bool = False
    gone: int = 0  # the status of a file that is no more
    gone_after: int | None = None  # so many readings
    ended: str | None = None
    readings: int = 0  # times that the file was asked for

    def answer(self, path: str, headers: Message) -> Answer:
        if ":download" not in path:
            is_list = "/batches?" in path
            return Answer(
                200,
                json.dumps(
                    {"operations": [self._operation()]} if is_list else self._operation()
                ).encode(),
            )
        if self.gone:
            return Answer(self.gone, b"{}")
        if headers.get("range"):  # only whether it is there
            return Answer(206, b"{", {"content-range": "bytes 0-0/*"})
        if self.readings == self.gone_after:
            return Answer(404, b"{}")
        self.readings += 1
        body = self.bodies.pop(0) if len(self.bodies) > 1 else self.bodies[0]
        if self.packed:
            return Answer(200, gzip.compress(body), {"content-encoding": "gzip"})
        return Answer(200, body)

    def _operation(self) -> dict[str, Any]:
        rows = {"inlinedResponses": {"inlinedResponses": self.inlined}}
        output = {"responsesFile": "files/batch-b1"} if self.inlined is None else rows
        about = {"state": f"BATCH_STATE_{self.state}", "batchStats": self.stats, "output": output}
        about |= {"endTime": self.ended} if self.ended else {}
        return {"name": NAME, "metadata": about, "done": True}

    @property
    def inbox(self) -> Inbox:
        return Inbox(self.client)

    @property
    def entry(self) -> Entry:
        return self.inbox.entries([NAME])[NAME]

    def accept(self) -> None:
        self.inbox.accept([Arrival(NAME, "batch.succeeded", "static", reopen="done")])

    def work(self) -> str:
        """Let workers come by until the batch has ended. Gives its state in the inbox."""

        def has_ended() -> bool:
            process_batch(NAME)
            return self.entry.state in ("done", "buried")

        eventually(has_ended, 20, "the batch's end")
        return self.entry.state

    def store(self) -> Manifest:
        """Accept the batch, let workers come by until it is stored, and give its manifest."""
        self.accept()
        assert self.work() == "done", self.entry.cause
        return self.manifest

    @property
    def manifest(self) -> Manifest:
        return read_manifest((self.storage.root / "b1/_manifest.json").read_bytes())


@contextmanager
def open_liar(
    client: "redis.Redis", folder: Path, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> Iterator[Liar]:
    """Its job runs in this process, by a clock on which half a minute takes 12 milliseconds."""
    liar = Liar(client, LocalStorage(folder))
    with answering(liar.answer) as url:
        environ = {"GEMINI_API_KEY": "right-key", "GEMINI_BASE_URL": url, "REDIS_URL": redis_url}
        for name, value in (
            environ | {"STORAGE_URL": folder.as_uri(), "RETRY_BASE_S": "0.002"}
        ).items():
            monkeypatch.setenv(name, value)
        current_settings.cache_clear()
        yield liar
    current_settings.cache_clear()
