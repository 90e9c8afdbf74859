"""Has Gemini call a URL whenever a batch ends, `register_webhook.py https://…`.

Prints the webhook's id. Its signing secret, which is shown only once, goes to `webhook-secret`.
"""

import sys
from pathlib import Path
from typing import Any

from google import genai

SECRET_FILE = Path("webhook-secret")
EVENTS: list[Any] = [  # the SDK's types don't name batch.cancelled
    "batch.succeeded",
    "batch.failed",
    "batch.cancelled",
    "batch.expired",
]


def main(url: str) -> None:
    with genai.Client() as client:
        webhook = client.webhooks.create(name="ended", uri=url, subscribed_events=EVENTS)
    SECRET_FILE.touch(mode=0o600)
    SECRET_FILE.write_text(webhook.new_signing_secret or "")
    print(webhook.id)


if __name__ == "__main__":
    main(sys.argv[1])
