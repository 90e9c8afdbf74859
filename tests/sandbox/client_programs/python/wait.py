"""Waits until a batch has ended, `wait.py batches/ID`, and prints how.

Exits with 1, and the reason, where the batch has not succeeded.
"""

import json
import os
import sys
import time
import urllib.request

from google import genai

HOST = os.environ.get("GOOGLE_GEMINI_BASE_URL", "https://generativelanguage.googleapis.com")
POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "30"))


def main(name: str) -> None:
    with genai.Client() as client:
        while not (batch := client.batches.get(name=name)).done:
            time.sleep(POLL_SECONDS)
    ended = batch.state.name.removeprefix("JOB_STATE_") if batch.state else "UNKNOWN"
    print(ended)
    if ended != "SUCCEEDED":
        sys.exit(reason(name))


def reason(name: str) -> str:
    """Gemini's message, which the SDK leaves out: `batch.error` is always None."""
    key = {"x-goog-api-key": os.environ["GEMINI_API_KEY"]}
    asked = urllib.request.Request(f"{HOST}/v1beta/{name}", headers=key)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        error = json.load(answer).get("error", {})
    return error.get("message") or "Gemini gives no reason"


if __name__ == "__main__":
    main(sys.argv[1])
