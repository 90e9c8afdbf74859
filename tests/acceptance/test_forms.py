"""The forms and the cost of a batch, through the real processes."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from pyarrow import parquet

from deploy.sandbox.demo.command import REQUESTS
from tests.acceptance.conftest import World
from tests.acceptance.test_main_job import folder_of, manifest_of, run, running_service
from tests.running import submit_file

REQUEST = b'{"key": "k", "request": {"contents": [{"parts": [{"text": "Hello"}]}]}}'


def test_forms_are_stored_and_proven(world: World) -> None:
    settings = world.settings | {"OUTPUT_FORMS": "raw,text,thoughts,json,media,table"}
    with running_service(world, settings):
        batch = submit_file(world.gemini_url, REQUESTS.read_bytes())
        manifest = manifest_of(world, batch)
    folder, forms = folder_of(world, batch), manifest["forms"]
    table: list[dict[str, Any]] = parquet.ParquetFile(folder / "_table.parquet").read().to_pylist()
    assert len(table) == sum(manifest["outcomes"].values())
    texts = {row["key"]: row["text"] for row in table if row["text"] is not None}
    assert sorted(path.read_text() for path in folder.glob("_text/*.txt")) == sorted(texts.values())
    assert forms["objects"]["text"] == len(texts) > 0
    named = [name for row in table for name in row["media"]]
    assert sorted(
        str(path.relative_to(world.outputs)) for path in folder.glob("_media/*")
    ) == sorted(named)
    assert forms["objects"]["table"] == 1
    verified = run(settings, "verify", batch)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    next(folder.glob("_text/*.txt")).write_text("something else")
    assert "that the index of the forms has a sha256 of" in run(settings, "verify", batch).stdout


def test_cost_is_shown(world: World, tmp_path: Path) -> None:
    prices = tmp_path / "prices.json"
    model = [{"input": 1, "output": 2}]
    prices.write_text(json.dumps({"date": "2026-11-24", "models": {"gemini-3.5-flash": model}}))
    settings = world.settings | {"PRICES_FILE": str(prices)}
    with running_service(world, settings):
        batch = submit_file(
            world.gemini_url,
            b'{"key": "k", "request": {"contents": [{"parts": [{"text": "Hello"}]}]}}',
        )
        manifest = manifest_of(world, batch)
    usage, cost = manifest["usage"], manifest["cost"]
    micro_dollars = usage["prompt"] + 2 * (usage["candidates"] + usage["thoughts"])
    assert micro_dollars > 0
    assert (Decimal(cost["amount"]) * 1_000_000, cost["prices"]) == (micro_dollars, "2026-11-24")
    assert (
        f"cost      {cost['amount']} USD (input " in run(settings, "batches", "show", batch).stdout
    )
