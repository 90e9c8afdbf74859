"""Small batches that have ended, made from a seed, and what became of them."""

import os
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from receiver.inbox.ledger import Inbox
from receiver.inbox.redis import connect
from tests.chaos.system import System

ROWS = 3  # responses of a batch
SENDERS = 8
_client = httpx.Client(
    verify=False, trust_env=False, timeout=60, limits=httpx.Limits(keepalive_expiry=2)
)  # one for all: making a client costs more than adding a batch


def output_of(seed: int, number: int, word: str = "Key") -> dict[str, Any]:
    """The raw output of a small batch; the same for the same arguments. Keys begin with `word`."""
    generator = random.Random(f"{seed}/{number}")
    rows = [
        {
            "metadata": {"key": f"{word} {row}/{number}"},
            "response": {
                "candidates": [
                    {
                        "content": {"parts": [{"text": f"{generator.random()} \u2028"}]},
                        "finishReason": "STOP",
                    }
                ],
                "usageMetadata": {
                    "promptTokenCount": row,
                    "candidatesTokenCount": 7,
                    "totalTokenCount": row + 7,
                },
            },
        }
        for row in range(ROWS)
    ]
    return {"inlinedResponses": {"inlinedResponses": rows}}


def batch_id(seed: int, number: int) -> str:
    return f"s{seed}n{number:06d}"


def add_batches(
    system: System, numbers: Sequence[int], word: str = "Key", **fields: Any
) -> list[str]:
    """Batches that have ended, announced at once. Gives their names."""

    def add(number: int) -> str:
        content = {
            "id": batch_id(system.seed, number),
            "output": output_of(system.seed, number, word),
            "request_count": ROWS,
        }
        answer = _client.post(f"{system.gemini_url}/sandbox/batches", json={**content, **fields})
        name: str = answer.raise_for_status().json()["name"]
        return name

    with ThreadPoolExecutor(SENDERS) as pool:
        return list(pool.map(add, numbers))


def add_steadily(system: System, count: int, per_s: float) -> Iterator[int]:
    """Adds batches at a steady pace; gives how many there are after each step of about a tenth of a second."""
    begun, done = time.monotonic(), 0
    while done < count:
        due = min(count, int((time.monotonic() - begun) * per_s) + 1)
        if due > done:
            add_batches(system, range(done, due))
            done = due
        yield done
        time.sleep(0.05)


def ledger(system: System) -> dict[str, Any]:
    """What the stand-in of Gemini knows: its batches and every delivery with its attempts."""
    found: dict[str, Any] = _client.get(f"{system.gemini_url}/sandbox/ledger").json()
    return found


def is_stored(system: System, name: str) -> bool:
    return (system.outputs / name.removeprefix("batches/") / "_manifest.json").is_file()


def count_stored(system: System) -> int:
    with suppress(FileNotFoundError):
        return sum(
            (Path(entry) / "_manifest.json").is_file()
            for entry in os.scandir(system.outputs)
            if entry.is_dir()
        )
    return 0


def wait_for_stored(system: System, names: Sequence[str], timeout_s: float) -> float:
    """Wait until all have a manifest, keeping the workers alive. Gives the seconds it took; raises at the deadline."""
    begun = time.monotonic()
    missing = list(names)
    while missing:
        looked = time.monotonic()
        missing = [name for name in missing if not is_stored(system, name)]
        if missing and time.monotonic() - begun > timeout_s:
            raise TimeoutError(
                f"{len(missing)} of {len(names)} batches are not stored after {timeout_s:.0f} s: {missing[:5]}"
            )
        system.replace_ended_workers()
        time.sleep(
            max(0.05, 4 * (time.monotonic() - looked))
        )  # leaves the machine to what is waited for
    return time.monotonic() - begun


def attempts_of(system: System, names: Sequence[str]) -> int:
    """The attempts that our own books count for these batches. This is no part of the checker's verdict."""
    with connect(system.redis_url) as client:
        return sum(entry.attempts for entry in Inbox(client).entries(names).values())
