"""What a batch left in a storage."""

import gzip
import json
import tempfile
from base64 import b64encode
from pathlib import Path
from typing import Any

from receiver.storage import LocalStorage
from workers.verification.verify_batch import verify_batch


def objects(storage: LocalStorage) -> dict[str, bytes]:
    """Every object by its name."""
    return {
        name: read(storage, name) for name in storage.list_names("") if not name.startswith(".tmp")
    }


def read(storage: LocalStorage, name: str) -> bytes:
    data = storage.read(name)
    assert data is not None, name
    return data


def listed(storage: LocalStorage) -> list[dict[str, Any]]:
    """The rows of the index of the forms."""
    return [
        json.loads(line)
        for line in gzip.decompress(read(storage, "b1/_forms.jsonl.gz")).splitlines()
    ]


def rows(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


def findings(storage: LocalStorage) -> list[str]:
    """What `verify` says of the batch."""
    with tempfile.TemporaryDirectory() as folder:
        return [
            str(finding) for finding in verify_batch(storage, "batches/b1", Path(folder)).findings
        ]


def line(key: str | None, *parts: object, reason: str = "STOP") -> bytes:
    """A line whose answer has these parts: text, or parts as they are."""
    content = [{"text": part} if isinstance(part, str) else part for part in parts]
    row: dict[str, Any] = {
        "response": {"candidates": [{"content": {"parts": content}, "finishReason": reason}]}
    }
    return json.dumps(row | ({} if key is None else {"key": key})).encode() + b"\n"


def thought(text: str) -> dict[str, object]:
    return {"text": text, "thought": True}


def inline(data: bytes | str, mime_type: object = "image/png", **more: Any) -> dict[str, Any]:
    text = data if isinstance(data, str) else b64encode(data).decode()
    return {"inlineData": {"mimeType": mime_type, "data": text}, **more}
