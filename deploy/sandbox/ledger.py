"""The state of the sandbox, in memory: after a restart it is empty, like a new project."""

import base64
import itertools
import threading
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

from deploy.sandbox.google_api import Json, now_ns, utc_text

Kind = Literal["generate", "embed"]
WebhookState = Literal["enabled", "disabled", "disabled_due_to_failed_deliveries"]


class State(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"

    @property
    def is_terminal(self) -> bool:
        return self not in (State.PENDING, State.RUNNING)


@dataclass
class StoredFile:
    number: int
    id: str
    path: Path
    mime_type: str
    display_name: str | None
    size_bytes: int
    line_count: int
    sha256: str  # hex
    created_ns: int
    expires_ns: int

    def resource(self, base_url: str) -> Json:
        shown: Json = {
            "name": f"files/{self.id}",
            "mimeType": self.mime_type,
            "sizeBytes": str(self.size_bytes),
            "createTime": utc_text(self.created_ns),
            "updateTime": utc_text(self.created_ns),
            "expirationTime": utc_text(self.expires_ns),
            # base64 of the hex text, as the service does it
            "sha256Hash": base64.b64encode(self.sha256.encode()).decode(),
            "uri": f"{base_url}/files/{self.id}",
            "state": "ACTIVE",
            "source": "UPLOADED",
        }
        if self.display_name is not None:
            shown["displayName"] = self.display_name
        return shown


@dataclass(frozen=True)
class DynamicHook:
    """A job's own `webhook_config`, which replaces the registered webhooks for it."""

    uris: list[str]
    user_metadata: Json | None


@dataclass
class Batch:
    number: int
    id: str
    kind: Kind
    model: str  # `models/…` or `tunedModels/…`
    display_name: str | None
    request_count: int
    input_file: str | None = None  # `files/…`
    requests: list[Json] = field(default_factory=list)  # of an inline job
    hook: DynamicHook | None = None
    priority: str | None = None
    tokens: int | None = None  # of its input; None until a quota is set
    created_ns: int = field(default_factory=now_ns)
    updated_ns: int = 0
    ended_ns: int | None = None
    state: State = State.PENDING
    successful: int = 0
    failed: int = 0
    output: Json | None = None  # `{"responsesFile": …}` or `{"inlinedResponses": …}`
    error: Json | None = None  # google.rpc.Status
    gets_without_output: int = 0  # how many gets show SUCCEEDED before they show the output

    def __post_init__(self) -> None:
        self.updated_ns = self.updated_ns or self.created_ns

    @property
    def name(self) -> str:
        return f"batches/{self.id}"

    @property
    def result_id(self) -> str:
        return f"batch-{self.id}"


@dataclass
class Secret:
    text: str  # `whsec_…`
    expires_ns: int | None = None  # None for the current secret


@dataclass
class Webhook:
    number: int
    id: str
    name: str | None
    uri: str
    subscribed_events: list[str]
    secrets: list[Secret]  # newest first
    state: WebhookState = "enabled"
    failures_in_a_row: int = 0

    def live_secrets(self) -> list[Secret]:
        return [
            secret
            for secret in self.secrets
            if secret.expires_ns is None or secret.expires_ns > now_ns()
        ]


@dataclass
class Attempt:
    at: str
    status: int | None  # None when no answer came
    error: str | None = None


@dataclass
class Delivery:
    id: str  # the `webhook-id`, the same over all attempts
    type: str
    url: str
    scheme: str  # how it is signed: v1, v1a or jwt
    batch: str | None
    webhook: str | None
    dropped: bool = False
    accepted: bool = False
    attempts: list[Attempt] = field(default_factory=list)


@dataclass(frozen=True)
class Payment:
    """An answer that was charged for."""

    by: str  # "batches/<id>", or the service tier of a generateContent call
    key: str | None  # None where none came with the request
    request_sha256: str  # hex, of the request as compact JSON, without its tier
    text: str  # how the request's text begins, which tells requests apart in any lane
    outcome: str  # the name of the fault that it has, or "ok"


class Sightings:
    """How often requests were seen. Jobs count from threads."""

    def __init__(self) -> None:
        self._counts, self._lock = Counter[bytes](), threading.Lock()

    def add(self, request: bytes) -> int:
        """Count it once more; gives how often it was seen."""
        with self._lock:
            self._counts[request] += 1
            return self._counts[request]

    def clear(self) -> None:
        self._counts.clear()


@dataclass
class Ledger:
    files: dict[str, StoredFile] = field(default_factory=dict)
    results: dict[str, Path] = field(default_factory=dict)  # `batch-…` -> the JSONL on disk
    batches: dict[str, Batch] = field(default_factory=dict)
    webhooks: dict[str, Webhook] = field(default_factory=dict)
    deliveries: list[Delivery] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    sightings: Sightings = field(default_factory=Sightings)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def next_number(self) -> int:
        return next(self._numbers)

    def forget(self) -> None:
        """Empty everything. Deletes uploaded files but not results: some lie outside our folder."""
        for stored in self.files.values():
            stored.path.unlink(missing_ok=True)
        for part in (self.files, self.results, self.batches, self.webhooks, self.deliveries):
            part.clear()
        self.payments.clear()
        self.sightings.clear()
