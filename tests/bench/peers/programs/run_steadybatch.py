"""steadybatch collects a batch that an earlier run of it left open: `Runner.run` with a checkpoint.

`register CHECKPOINT BATCH RESULTS` writes that checkpoint, `collect CHECKPOINT URL` is measured.
"""

import json
import sys
from pathlib import Path

from google import genai
from steadybatch import Request, Runner
from steadybatch.models import PreparedRequest
from steadybatch.providers.gemini_batch import GeminiBatch
from steadybatch.store import Store

MODEL = "gemini-3.5-flash"


def register(checkpoint: str, batch: str, results: str) -> None:
    with Path(results).open("rb") as lines:
        keys = [json.loads(line)["key"] for line in lines]
    store = Store(checkpoint)
    prompt = [{"role": "user", "content": "Sum it up."}]
    store.add([PreparedRequest(key, Request(key, prompt), MODEL) for key in keys])
    store.mark_submitted(batch, "gemini", keys)
    store.close()


def collect(checkpoint: str, url: str) -> None:
    client = genai.Client(api_key="bench", http_options=genai.types.HttpOptions(base_url=url))
    runner = Runner(GeminiBatch(client), MODEL, checkpoint=checkpoint, max_attempts=1)
    report = runner.run([])
    sys.stdout.write(json.dumps({"results": report.ok}))


if __name__ == "__main__":
    if sys.argv[1] == "register":
        register(*sys.argv[2:])
    else:
        collect(*sys.argv[2:])
