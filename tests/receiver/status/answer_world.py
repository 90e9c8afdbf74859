"""Stored batches whose answers hold whatever an answer can hold, hostile things first."""

import base64
import json
import random
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deploy.sandbox.jobs.png import make_striped_png
from receiver.storage import LocalStorage
from tests import nasty
from tests.workers.storing import GROUPED, put_input, store

HOSTILE = "<img src=x onerror=alert(1)>\"'</script>{{7*7}}\u202e\x1b[31m"
SHOWN = "<img src=x onerror=alert(1)>\"'</script>{{7*7}}�"
PNG = make_striped_png(random.Random(1))
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
LONG = "x" * 300_000
KEYS = (HOSTILE, "a/b.c", "../../etc/passwd", ".", "", "ä ö/😀", "?a=b&c#d%2e", "k" * 1_000_000)


def inline(mime_type: str, data: bytes) -> dict[str, Any]:
    return {"inlineData": {"mimeType": mime_type, "data": base64.b64encode(data).decode()}}


def responding(key: str, *parts: Any, **more: Any) -> bytes:
    candidate = {"content": {"parts": parts}, "finishReason": "STOP"}
    return json.dumps({"key": key, "response": {"candidates": [candidate], **more}}).encode()


def asking(key: str, *parts: Any) -> bytes:
    contents = [{"role": "user", "parts": parts}]
    return json.dumps({"key": key, "request": {"contents": contents}}).encode()


CALL = {"functionCall": {"name": HOSTILE, "args": {HOSTILE: [HOSTILE, 1]}}}
LINES = (
    responding("text", {"text": f"{HOSTILE}\n  second line"}, modelVersion=HOSTILE),
    responding("json", {"text": json.dumps({"b": [1, HOSTILE], "a": "1.0000000000000000001"})}),
    responding("thinking", {"text": "a secret thought", "thought": True}, {"text": "said"}),
    responding(
        "media",
        {"text": "a picture"},
        inline("image/png", PNG),
        inline("image/svg+xml", SVG),
        inline("text/html", SVG),
    ),
    responding("call", CALL, {"executableCode": {"code": HOSTILE, "language": "PYTHON"}}),
    responding("long", {"text": LONG}),
    responding("deep", {"text": "[" * 50_000}),
    responding("many", *[{"text": "x"}, inline("image/png", PNG)] * 200),
    *(responding(key, {"text": f"answer {number}"}) for number, key in enumerate(KEYS)),
    nasty.failure("failed", 8),
    nasty.failure("failed again", 3),
)
ASKED = (
    asking("text", {"text": HOSTILE}, inline("image/png", PNG)),
    *(asking(key, {"text": f"question {number}"}) for number, key in enumerate(KEYS)),
    asking("never answered", {"text": "is anybody there?"}),
)


def fill(folder: Path) -> None:
    """`b1` has an object per key, `b2` groups them and has a table."""
    storage = LocalStorage(folder / "outputs")
    put_input(storage, b"\n".join(ASKED))
    store(storage, b"\n".join(LINES), len(LINES) + 1)
    grouped = b"\n".join((nasty.FILE, *LINES))
    store(storage, grouped, None, GROUPED, batch_id="b2", OUTPUT_FORMS="table")


def path_of(key: str, batch: str = "b1") -> str:
    """The page of a result, by its key in a query."""
    return f"/status/batches/{batch}/results/?key={quote(key, safe='')}"
