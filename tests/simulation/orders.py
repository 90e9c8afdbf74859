"""What people submit in a seed."""

import random
from dataclasses import dataclass
from pathlib import Path

import msgspec

from receiver.submissions.planning import SubmitRequest

MAX_REQUESTS = 9
INLINE = 0.3  # of the inputs
MARKED = 0.6  # of the requests: the sandbox is told to give another result than an answer
MARKERS = ("error", "missing", "duplicate", "nokey", "blocked", "truncated", "empty")


@dataclass(frozen=True)
class Ordered:
    """An input that a person submits."""

    file: Path
    request: SubmitRequest
    keys: list[str]


def draw_order(generator: random.Random, folder: Path, number: int) -> Ordered:
    """Write an input of a few requests."""
    file = folder / f"input-{number}.jsonl"
    keys = [f"Key {number}/{one}" for one in range(generator.randint(1, MAX_REQUESTS))]
    file.write_bytes(b"".join(_draw_line(generator, key) for key in keys))
    request = SubmitRequest(
        project="",
        model="gemini-3.5-flash",
        inline=generator.random() < INLINE,
        max_requests=generator.choice((None, 2, 4)),
    )
    return Ordered(file, request, keys)


def _draw_line(generator: random.Random, key: str) -> bytes:
    marker = generator.choice(MARKERS) if generator.random() < MARKED else None
    text = f"{key} [sandbox:{marker}]" if marker else key
    request = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    return msgspec.json.encode({"key": key, "request": request}) + b"\n"
