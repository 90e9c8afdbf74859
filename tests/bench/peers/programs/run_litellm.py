"""litellm's batch line items: each result with its request, usage and price, handed to a logger.

The logger writes them as its own S3 logger does, but to a folder:
`run_litellm.py URL_OF_RESULTS INPUT FOLDER`.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import litellm
from litellm.batches.batch_line_items import (
    BatchLineItemSource,
    batch_line_item_parts,
    dispatch_batch_line_items,
    line_item_metadata,
)
from litellm.integrations.batch_line_item_objects import (
    batch_line_items_ndjson,
    batch_line_items_object_name,
)
from litellm.integrations.custom_logger import CustomLogger

MODEL = "gemini-2.5-flash"  # one that its price list knows
PART_BYTES = 16 * 1024 * 1024


class ToFolder(CustomLogger):  # type: ignore[misc] # its types are not here
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.lines = folder, 0

    async def async_log_batch_line_items(self, payload: Any) -> None:
        path = self.folder / batch_line_items_object_name(payload)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(batch_line_items_ndjson(payload), encoding="utf-8")
        self.lines += sum(line["status"] == "success" for line in payload["lines"])


def main(url: str, requests: str, folder: str) -> None:
    headers = {"x-goog-api-key": "bench"}
    results = (
        httpx.get(url, headers=headers, timeout=600, trust_env=False).raise_for_status().content
    )
    logger = ToFolder(Path(folder))
    litellm.batch_line_item_callbacks = [logger]
    source = BatchLineItemSource(
        "batches/bench", int(time.time()), MODEL, "gemini", "gemini", None, line_item_metadata({})
    )
    parts = batch_line_item_parts(source, Path(requests).read_bytes(), [results], PART_BYTES)
    for part in parts:
        asyncio.run(dispatch_batch_line_items(part, redact_bodies=False))
    sys.stdout.write(json.dumps({"results": logger.lines}))


if __name__ == "__main__":
    main(*sys.argv[1:])
