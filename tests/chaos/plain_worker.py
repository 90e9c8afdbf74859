"""What a team writes without this project: an RQ worker as it comes, and a job that stores a batch.

`python -m tests.chaos.plain_worker` runs the worker. It stands in no path of the product; `plain-rq` measures it.
"""

import json
import os
import time
from pathlib import Path

import httpx
import redis
from rq import Worker


def store(name: str) -> None:
    """Fetch a batch and write its answers, then its manifest."""
    answer = httpx.get(
        f"{os.environ['GEMINI_BASE_URL']}/v1beta/{name}", headers={"x-goog-api-key": "right-key"}
    )
    rows = answer.raise_for_status().json()["response"]["inlinedResponses"]["inlinedResponses"]
    folder = Path(os.environ["PLAIN_OUTPUTS"]) / name.removeprefix("batches/")
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        (folder / f"{row['metadata']['key'].replace('/', '_')}.json").write_text(json.dumps(row))
    (folder / "_manifest.json").write_text(json.dumps({"batch": name, "rows": len(rows)}))
    with (folder / "_times").open("a") as file:
        file.write(f"{time.time()}\n")


if __name__ == "__main__":
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        Worker(["default"], connection=client).work()
