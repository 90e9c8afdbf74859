"""A large result file goes through a small worker."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

from tests.acceptance.conftest import World
from tests.running import ready_batch

SIZE_BYTES = 200 * 1024 * 1024
LIMIT_KIB = 128 * 1024
# A process of its own: what exec starts counts the memory of the process that it replaces, and pytest's is large.
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def write_results(path: Path) -> int:
    """Text answers of a few kilobytes up to SIZE_BYTES. Gives their number."""
    generator = random.Random(7)
    words = ["harbor", "iris", "lantern", "ember", "kelp", "basil", "maple", "juniper", "cedar", "grove", "fern"]
    text = " ".join(generator.choice(words) for _ in range(100_000))
    count = 0
    with path.open("w") as file:
        while file.tell() < SIZE_BYTES:
            start = generator.randrange(len(text) - 5000)
            candidate = {"content": {"parts": [{"text": text[start : start + 2500]}]}, "finishReason": "STOP"}
            row = {"response": {"candidates": [candidate]}, "key": f"group{count % 50}-{count}"}
            file.write(json.dumps(row) + "\n")
            count += 1
    return count


def test_200_mb_pass_under_128_mib(world: World, tmp_path: Path) -> None:
    source = tmp_path / "results.jsonl"
    count = write_results(source)
    batch = ready_batch(world.gemini_url, result_path=str(source), request_count=count, notify=False)
    grouping = {"KEY_PATTERN": "(?P<group>.*)-.*", "OUTPUT_TEMPLATE": "{batch}/{group}.jsonl"}
    settings = {**os.environ, **world.settings, **grouping}
    command = [sys.executable, "-m", "workers"]
    subprocess.run([*command, "replay", "--batch", batch], env=settings, check=True, capture_output=True, timeout=60)
    burst = [sys.executable, "-c", MEASURE, *command, "worker", "--burst"]
    peak_kib = int(subprocess.run(burst, env=settings, check=True, stdout=subprocess.PIPE, timeout=100).stdout)
    folder = world.outputs / batch.removeprefix("batches/")
    manifest = json.loads((folder / "_manifest.json").read_bytes())
    assert (manifest["outcomes"]["ok"], manifest["objects"]["count"]) == (count, 50)
    assert manifest["objects"]["bytes"] == manifest["source"]["bytes"] == source.stat().st_size
    assert peak_kib < LIMIT_KIB, f"peak RSS was {peak_kib // 1024} MiB"
