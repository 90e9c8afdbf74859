"""Result files of any size for the bench: the same seed gives the same bytes."""

import json
import random
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.rows import POOLS, Row, make_pool

KINDS = tuple(POOLS)
KEY_PATTERN = r"(?P<group>g\d+)-.*"
FORMAT = 1  # of the files: raise it when the rows change, and no cached file is taken for a new one
LINE_BATCH_SIZE = 2000
BATCH_BYTES = 4_000_000


@dataclass(frozen=True)
class Results:
    """A result file, and what is true of it."""

    path: Path
    kind: str
    size_bytes: int
    lines: int  # blank ones included
    groups: int  # keys are spread over that many, in turn
    outcomes: dict[str, int]  # of those that occur

    @property
    def requests(self) -> int:
        """As many as can have been asked: every result but the repeated ones."""
        return sum(self.outcomes.values()) - self.outcomes.get("duplicate", 0)


def write_results(
    path: Path, kind: str, size_bytes: int, seed: int = 1, groups: int = 100
) -> Results:
    """Write whole lines until `size_bytes` are reached. Keys are `g<group>-<number>`."""
    generator = random.Random(seed)
    pool = make_pool(kind, generator)
    together = max(1, min(LINE_BATCH_SIZE, BATCH_BYTES // max(row.size_bytes for row in pool)))
    counts = Counter[int]()
    number = 0
    with path.open("wb") as file:
        while file.tell() < size_bytes:
            chosen = [0] if number == 0 else generator.choices(range(len(pool)), k=together)
            counts.update(chosen)
            file.write(_lines([pool[index] for index in chosen], number, groups))
            number += len(chosen)
    outcomes = Counter[str]()
    for index, count in counts.items():
        if (outcome := pool[index].outcome) is not None:
            outcomes[outcome] += count
    return Results(path, kind, path.stat().st_size, number, min(groups, number), dict(outcomes))


def _lines(rows: list[Row], number: int, groups: int) -> bytes:
    keys = (b"g%d-%d" % (index % groups, index) for index in range(number, number + len(rows)))
    return b"\n".join([*(key.join(row.pieces) for key, row in zip(keys, rows, strict=True)), b""])


def cached_results(
    folder: Path, kind: str, size_bytes: int, seed: int = 1, groups: int = 100
) -> Results:
    """The same file as last time when it is still there."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind}-{size_bytes}-{groups}-{seed}-v{FORMAT}.jsonl"
    about = path.with_suffix(".json")
    if not about.exists():
        partial = path.with_suffix(".partial")
        made = write_results(partial, kind, size_bytes, seed, groups)
        partial.replace(path)
        about.write_text(json.dumps(asdict(made) | {"path": None}))
    return Results(**(json.loads(about.read_text()) | {"path": path}))
