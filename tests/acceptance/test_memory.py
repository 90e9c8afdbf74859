"""A large result file goes through a small worker."""

import json
import os
import random
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

from pyarrow import parquet

from tests.acceptance.conftest import World
from tests.running import ready_batch

SIZE_BYTES = 200 * 1024 * 1024
LIMIT_KIB = 128 * 1024
FORMS_LIMIT_KIB = 256 * 1024
EMBEDDINGS, PICTURES = 2000, 3
VECTOR = "list<element: float>"
# A process of its own: what exec starts counts the memory of the process that it replaces, and pytest's is large.
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def write_results(path: Path) -> int:
    """Text answers of a few kilobytes up to SIZE_BYTES. Gives their number."""
    generator = random.Random(7)
    words = [
        "harbor",
        "iris",
        "lantern",
        "ember",
        "kelp",
        "basil",
        "maple",
        "juniper",
        "cedar",
        "grove",
        "fern",
    ]
    text = " ".join(generator.choice(words) for _ in range(100_000))
    count = 0
    with path.open("w") as file:
        while file.tell() < SIZE_BYTES:
            start = generator.randrange(len(text) - 5000)
            candidate = {
                "content": {"parts": [{"text": text[start : start + 2500]}]},
                "finishReason": "STOP",
            }
            row = {"response": {"candidates": [candidate]}, "key": f"group{count % 50}-{count}"}
            file.write(json.dumps(row) + "\n")
            count += 1
    return count


def store_measured(world: World, source: Path, count: int, **more: str) -> tuple[int, Path]:
    """Let a worker store the results in `source`. Gives the peak of its memory in KiB, and the batch's folder."""
    batch = ready_batch(
        world.gemini_url, result_path=str(source), request_count=count, notify=False
    )
    settings = {**os.environ, **world.settings, **more}
    command = [sys.executable, "-m", "workers"]
    subprocess.run(
        [*command, "replay", "--batch", batch],
        env=settings,
        check=True,
        capture_output=True,
        timeout=60,
    )
    burst = [sys.executable, "-c", MEASURE, *command, "worker", "--burst"]
    peak_kib = int(
        subprocess.run(burst, env=settings, check=True, stdout=subprocess.PIPE, timeout=100).stdout
    )
    return peak_kib, world.outputs / batch.removeprefix("batches/")


def test_200_mb_pass_under_128_mib(world: World, tmp_path: Path) -> None:
    source = tmp_path / "results.jsonl"
    count = write_results(source)
    template = {"KEY_PATTERN": "(?P<group>.*)-.*", "OUTPUT_TEMPLATE": "{batch}/{group}.jsonl"}
    peak_kib, folder = store_measured(world, source, count, **template)
    manifest = json.loads((folder / "_manifest.json").read_bytes())
    assert (manifest["outcomes"]["ok"], manifest["objects"]["count"]) == (count, 50)
    assert manifest["objects"]["bytes"] == manifest["source"]["bytes"] == source.stat().st_size
    assert peak_kib < LIMIT_KIB, f"peak RSS was {peak_kib // 1024} MiB"


def write_heavy_results(path: Path) -> int:
    """Embeddings of 3,072 numbers, and pictures of 30 MB a line. Gives their number."""
    generator = random.Random(7)
    values = [round(generator.uniform(-0.1, 0.1), 9) for _ in range(3072)]
    picture = {
        "inlineData": {
            "mimeType": "image/png",
            "data": b64encode(generator.randbytes(22_500_000)).decode(),
        }
    }
    vector = json.dumps({"embedding": {"values": values}, "tokenCount": "3"})
    drawing = json.dumps(
        {
            "candidates": [
                {"content": {"parts": [{"text": "here"}, picture]}, "finishReason": "STOP"}
            ]
        }
    )
    with path.open("w") as file:
        for number in range(EMBEDDINGS):
            file.write(f'{{"response":{vector},"key":"e{number}"}}\n')
        for number in range(PICTURES):
            file.write(f'{{"response":{drawing},"key":"p{number}"}}\n')
    return EMBEDDINGS + PICTURES


def test_every_form_passes_under_256_mib(world: World, tmp_path: Path) -> None:
    source = tmp_path / "results.jsonl"
    count = write_heavy_results(source)
    forms = {"OUTPUT_FORMS": "raw,text,thoughts,json,media,table"}
    peak_kib, folder = store_measured(
        world, source, count, OUTPUT_TEMPLATE="{batch}/all.jsonl", **forms
    )
    manifest = json.loads((folder / "_manifest.json").read_bytes())
    made = manifest["forms"]["objects"]
    assert made == {"text": 1, "thoughts": 0, "json": 0, "media": PICTURES, "table": 1}
    table = parquet.ParquetFile(folder / "_table.parquet")
    assert (table.metadata.num_rows, str(table.schema_arrow.field("embedding").type)) == (
        count,
        VECTOR,
    )
    assert peak_kib < FORMS_LIMIT_KIB, f"peak RSS was {peak_kib // 1024} MiB"
