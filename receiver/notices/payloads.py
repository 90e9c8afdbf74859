"""What is told: the types of messages, and what each says. Pure.

A message about a batch is made of its manifest alone, so that whoever finds the batch stored says the same.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from receiver.batch_names import BatchName
from receiver.outputs.judgement import judge_manifest
from receiver.outputs.manifest import Manifest
from receiver.outputs.paths import errors_name, manifest_name

Type = Literal["results.stored", "results.failed", "batch.buried", "batch.overdue", "receiver.test"]
MAX_TEXT = 1000  # characters of what others wrote
MAX_KEYS = 20
MAX_KEY = 200
MAX_OBJECTS = 20


class Message(msgspec.Struct, frozen=True):
    """Something to tell."""

    type: Type
    data: dict[str, Any]  # all but the batch and its project, which the notice knows

    def encode(self) -> tuple[Type, str]:
        """Its type and its data, as the outbox keeps them."""
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
    """The outputs by their number, and what lies beside them by name, from the storage root."""
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
    """Compact JSON in ASCII: names and keys may hold what UTF-8 can't."""
    return json.dumps(data, separators=(",", ":"))


def encode_payload(kind: str, batch: str, owed_ms: int, data: Mapping[str, Any]) -> bytes:
    """The body of a notice, the same at every try.

    `batch` is its name in the inbox, `owed_ms` Unix time by Redis' clock.
    """
    name = BatchName.read(batch)
    moment = datetime.fromtimestamp(owed_ms / 1000, UTC).replace(tzinfo=None)
    timestamp = f"{moment.isoformat(timespec='milliseconds')}Z"
    about = {"batch": name.gemini, "project": name.project or None} if batch else {}
    return encode_data({"type": kind, "timestamp": timestamp, "data": about | dict(data)}).encode()
