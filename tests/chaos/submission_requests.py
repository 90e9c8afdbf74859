"""Requests of submissions, made from a seed: three in ten have a fault that passes or stays."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# What a request is marked with, and how many of a hundred have it.
FAULTS = {
    "[sandbox:error 14 x1]": 6,
    "[sandbox:error 13 x2]": 4,
    "[sandbox:empty x1]": 6,
    "[sandbox:empty x2]": 4,
    "[sandbox:truncated 300]": 5,
    "[sandbox:stuck x1]": 1,
    "[sandbox:blocked]": 2,
    "[sandbox:error 3]": 2,
}
STUCK = "[sandbox:stuck x1]"
STUCK_EVERY = 4  # of so many submissions, two have a batch that never ends for sure
FOR_GOOD = {"[sandbox:blocked]": "blocked", "[sandbox:error 3]": "error"}
OUTPUT_TOKENS = 100


@dataclass(frozen=True)
class Asked:
    """The requests of one submission."""

    number: int
    texts: Mapping[str, str]  # by key, in the order of the input
    per_part: int

    @property
    def parts(self) -> int:
        return -(-len(self.texts) // self.per_part)

    def outcome_of(self, key: str) -> str:
        """What has to become of a request in the end."""
        return next((what for mark, what in FOR_GOOD.items() if mark in self.texts[key]), "ok")

    def write(self, path: Path) -> Path:
        rows = [
            {
                "key": key,
                "request": {
                    "contents": [{"parts": [{"text": text}]}],
                    "generationConfig": {"maxOutputTokens": OUTPUT_TOKENS},
                },
            }
            for key, text in self.texts.items()
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path


def make_requests(seed: int, number: int, parts: int, per_part: int) -> Asked:
    """The same for the same arguments. Every text begins with its key and a colon."""
    generator = random.Random(f"{seed}/{number}")
    plain = 100 - sum(FAULTS.values())
    marks = generator.choices(["", *FAULTS], [plain, *FAULTS.values()], k=parts * per_part)
    if number % STUCK_EVERY < 2:  # one for each way to rescue it
        marks[generator.randrange(len(marks))] = STUCK
    texts = {
        f"s{seed}n{number}k{index}": f"s{seed}n{number}k{index}: Say something. {mark}"
        for index, mark in enumerate(marks)
    }
    return Asked(number, texts, per_part)
