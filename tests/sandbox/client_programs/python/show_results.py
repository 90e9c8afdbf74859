"""Prints a line per row of a batch that succeeded, `show_results.py batches/ID`.

Exits with 1 where there are no results, or not yet.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

from google import genai
from google.genai import types


def main(name: str) -> None:
    with genai.Client() as client:
        batch = client.batches.get(name=name)
        if batch.state != types.JobState.JOB_STATE_SUCCEEDED or batch.dest is None:
            sys.exit(f"{name} has no results: {batch.state.name if batch.state else 'no state'}")
        for row in rows(client, batch.dest):
            key = row.get("key") or row.get("metadata", {}).get("key", "?")
            print(f"{key}: {answer(row)}")


def rows(client: genai.Client, results: types.BatchJobDestination) -> Iterator[Any]:
    """The rows as Gemini's JSON, wherever they are."""
    if results.file_name:
        for line in client.files.download(file=results.file_name).split(b"\n"):
            if line:
                yield json.loads(line)
    for row in results.inlined_responses or results.inlined_embed_content_responses or []:
        yield row.model_dump(mode="json", by_alias=True, exclude_none=True)


def answer(row: Any) -> str:
    if error := row.get("error"):
        return f"error {error['code']}: {error['message']}"
    response = row["response"]
    if embedding := response.get("embedding"):
        return f"{len(embedding['values'])} numbers"
    candidates = response.get("candidates") or [{}]
    parts = candidates[0].get("content", {}).get("parts", [])
    return "".join(part.get("text", "") for part in parts if not part.get("thought"))


if __name__ == "__main__":
    main(sys.argv[1])
