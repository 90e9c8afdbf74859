"""Has two pictures made through an input file, waits, and saves each as KEY.png or the like."""

import base64
import io
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from google import genai
from google.genai import types

POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "30"))
PROMPTS = {
    "lighthouse": "A lighthouse in a storm, as a woodcut",
    "orchard": "An orchard in spring, in watercolours",
}


def main() -> None:
    with genai.Client() as client:
        batch = submit(client)
        while not batch.done:
            time.sleep(POLL_SECONDS)
            batch = client.batches.get(name=batch.name or "")
        if batch.dest is None or batch.dest.file_name is None:
            sys.exit(f"{batch.name} has no results")
        results = client.files.download(file=batch.dest.file_name)
    for line in results.split(b"\n"):
        if line:
            save_picture(json.loads(line))


def submit(client: genai.Client) -> types.BatchJob:
    lines = "".join(input_line(key, prompt) for key, prompt in PROMPTS.items())
    uploaded = client.files.upload(
        file=io.BytesIO(lines.encode()),
        config=types.UploadFileConfig(mime_type="application/jsonl"),
    )
    return client.batches.create(model="gemini-3.1-flash-image", src=uploaded.name or "")


def input_line(key: str, prompt: str) -> str:
    request = {
        "contents": [{"parts": [{"text": prompt}]}],
        "generation_config": {"response_modalities": ["IMAGE"]},
    }
    return json.dumps({"key": key, "request": request}) + "\n"


def save_picture(row: Any) -> None:
    if "error" in row:
        print(f"{row['key']}: {row['error']['message']}", file=sys.stderr)
        return
    candidates = row["response"].get("candidates") or [{}]
    for part in candidates[0].get("content", {}).get("parts", []):
        if picture := part.get("inlineData"):
            file = Path(row["key"]).with_suffix("." + picture["mimeType"].partition("/")[2])
            file.write_bytes(base64.b64decode(picture["data"]))
            print(file)


if __name__ == "__main__":
    main()
