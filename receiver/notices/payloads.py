"""The types of notices, their payloads and signatures. Pure.

The message on a batch derives from its manifest alone, so that every process makes the same one.
"""

import base64
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import UNSET

from receiver.batch_names import BatchName, SubmissionName
from receiver.outputs.judgement import judge_manifest
from receiver.outputs.manifest import Manifest
from receiver.outputs.paths import errors_name, manifest_name
from receiver.settings.notice_events import NoticeType
from receiver.settings.notice_keys import SigningKey
from receiver.verification.keys import Secret

MAX_TEXT = 1000  # characters of what others wrote
MAX_KEYS = 20
MAX_KEY = 200
MAX_OBJECTS = 20


class Message(msgspec.Struct, frozen=True):
    """A notice before it is enqueued."""

    type: NoticeType
    data: dict[str, Any]  # without batch and project, which the notice has

    def encode(self) -> tuple[NoticeType, str]:
        """Type and data as the outbox stores them."""
        return self.type, encode_data(self.data)


def describe_manifest(manifest: Manifest) -> Message:
    """That a batch's outputs are durable, or that Gemini gave it up."""
    judgement = judge_manifest(manifest)
    data = {
        "state": manifest.state,
        "display_name": _cut(manifest.display_name),
        "model": _cut(manifest.model),
        "created": manifest.created,
        "ended": manifest.ended,
        "complete": judgement.is_well,
        "judgement": _cut(judgement.text),
        "problems": [_cut(problem) for problem in judgement.problems],
        "advice": judgement.advice,
        "requests": manifest.requests,
        "outcomes": manifest.outcomes,
        "missing": manifest.missing,
        "missing_keys": [key for key in manifest.missing_keys[:MAX_KEYS] if len(key) <= MAX_KEY],
        "balanced": manifest.balanced,
        "cost": msgspec.to_builtins(manifest.cost),
        "priced": None if manifest.priced is UNSET else msgspec.to_builtins(manifest.priced),
        "objects": _name_objects(manifest),
        "error": {"code": manifest.error.code, "message": _cut(manifest.error.message)}
        if manifest.error
        else None,
    }
    return Message("results.stored" if manifest.state == "SUCCEEDED" else "results.failed", data)


def _name_objects(manifest: Manifest) -> dict[str, Any]:
    """The number of outputs, and the other objects by their names in the storage."""
    records = {"index": manifest.index, "retry": manifest.retry}
    records["forms"] = None if manifest.forms is UNSET else manifest.forms.index
    return {
        "count": manifest.objects.count,
        "bytes": manifest.objects.bytes,
        "manifest": manifest_name(manifest.batch),
        **{kind: record.name if record else None for kind, record in records.items()},
        "errors": errors_name(manifest.batch) if manifest.index else None,
        "oversize": [record.name for record in manifest.oversize[:MAX_OBJECTS]],
    }


def _cut(text: str | None) -> str | None:
    return text if text is None else text[:MAX_TEXT]


def encode_data(data: Mapping[str, Any]) -> str:
    """Compact ASCII JSON: names and keys may contain lone surrogates, which UTF-8 can't encode."""
    return json.dumps(data, separators=(",", ":"))


def make_payload(
    kind: str, batch: str, enqueued_ms: int, data: Mapping[str, Any]
) -> dict[str, Any]:
    """What a notice says, equal at every try.

    `batch` is its name in the inbox, or that of a submission; `enqueued_ms` is Unix time by Redis'
    clock.
    """
    moment = datetime.fromtimestamp(enqueued_ms / 1000, UTC).replace(tzinfo=None)
    timestamp = f"{moment.isoformat(timespec='milliseconds')}Z"
    about = _name_in_payload(batch) if batch else {}
    return {"type": kind, "timestamp": timestamp, "data": about | dict(data)}


def encode_payload(kind: str, batch: str, enqueued_ms: int, data: Mapping[str, Any]) -> bytes:
    """The body of a notice, as `make_payload` makes it."""
    return encode_data(make_payload(kind, batch, enqueued_ms, data)).encode()


def _name_in_payload(batch: str) -> dict[str, str | None]:
    submission = SubmissionName.read(batch)
    if submission is not None:
        return {"submission": submission.id, "project": submission.project or None}
    name = BatchName.read(batch)
    return {"batch": name.gemini, "project": name.project or None}


def sign(keys: Sequence[SigningKey], message_id: str, now: float, body: bytes) -> dict[str, str]:
    """The headers of Standard Webhooks, signed with every key; `now` is in Unix seconds."""
    timestamp = str(int(now))
    signed = b"%b.%b.%b" % (message_id.encode(), timestamp.encode(), body)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_sign(key, signed) for key in keys),
    }


def _sign(key: SigningKey, signed: bytes) -> str:
    if isinstance(key, Secret):
        scheme, signature = "v1", hmac.digest(key.key, signed, "sha256")
    else:
        scheme, signature = "v1a", key.sign(signed)
    return f"{scheme},{base64.b64encode(signature).decode()}"
