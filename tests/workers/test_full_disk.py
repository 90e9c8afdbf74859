"""Disks of each size that is too small for a batch: they fail at its outputs, or at a record alone."""

import errno
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from receiver.inbox.entries import Entry
from receiver.inbox.ledger import Arrival, Inbox
from receiver.inbox.redis import connect
from tests.chaos.checker import MANIFEST, files_of
from tests.chaos.disk_faults import BATCH, TEMPLATES, add_batch, run_job
from tests.receiver.storage.mounting import NOT_PERMITTED, mount, require_mounts_of_its_own
from tests.running import running_sandbox
from tests.system_calls import run_alone
from tests.waiting import eventually

ROOM = "size=4m,nr_inodes=1000"
# The outputs of the batch take up to nine pages, and up to twelve names and folders.
SMALL = (
    *(f"size={pages * 4}k" for pages in range(2, 10)),
    *(f"nr_inodes={inodes}" for inodes in range(3, 14)),
)
FULL = f"{os.strerror(errno.ENOSPC)}: free some space"
RECORDS = {"_index.jsonl.gz", "_errors.jsonl", "_retry.jsonl", "_manifest.json"}
Told = dict[str, Any]


@dataclass(frozen=True)
class Place:
    settings: dict[str, str]
    outputs: Path

    def owe(self) -> None:
        with connect(self.settings["REDIS_URL"]) as client:
            client.flushall()
            Inbox(client).accept([Arrival(BATCH, "batch.succeeded", "replay")])

    def entry(self) -> Entry:
        with connect(self.settings["REDIS_URL"]) as client:
            return Inbox(client).entries([BATCH])[BATCH]

    def describe(self) -> Told:
        entry, found = self.entry(), files_of(self.outputs)
        return {
            "state": entry.state,
            "counts": [entry.attempts, entry.outages],
            "cause": entry.cause,
            "objects": {name: data.decode("latin-1") for name, data in found.items()},
        }


def try_until_done(place: Place) -> bool:
    run_job(place.settings)
    return place.entry().state == "done"


def try_small_disks(place: Place, told: Path) -> None:
    """Each disk is mounted for this process alone. A try while it is full, and tries once there is room."""
    require_mounts_of_its_own()
    rows = dict[str, tuple[Told, Told]]()
    for size in (ROOM, *SMALL):
        mount("-t", "tmpfs", "-o", size, "none", str(place.outputs))
        place.owe()
        run_job(place.settings)
        full = place.describe()
        mount("-o", f"remount,{ROOM}", str(place.outputs))
        eventually(lambda: try_until_done(place), 20, f"the batch after {size}")
        rows[size] = full, place.describe()
        mount("--move", str(place.outputs), str(place.outputs.parent / "used"))
    told.write_text(json.dumps(rows))


@pytest.fixture(params=["beside", "elsewhere"])
def place(request: pytest.FixtureRequest, tmp_path: Path, valkey_url: str) -> Iterator[Place]:
    """The scratch files lie on the same disk, or on one with room."""
    for name in ("outputs", "used", "scratch"):
        (tmp_path / name).mkdir()
    scratch = {"SCRATCH_DIR": str(tmp_path / "scratch")} if request.param == "elsewhere" else {}
    with running_sandbox(tmp_path) as url:
        add_batch(tmp_path, url)
        about = {"GEMINI_API_KEY": "right-key", "GEMINI_BASE_URL": url, "REDIS_URL": valkey_url}
        storage = {"STORAGE_URL": (tmp_path / "outputs").as_uri(), "RETRY_BASE_S": "0"}
        yield Place(about | storage | scratch, tmp_path / "outputs")


def try_all(place: Place, told: Path) -> dict[str, tuple[Told, Told]]:
    try:
        run_alone(try_small_disks, place, told)
    except AssertionError as error:
        if NOT_PERMITTED in str(error):
            pytest.skip(NOT_PERMITTED)
        raise
    return cast("dict[str, tuple[Told, Told]]", json.loads(told.read_text()))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk")
@pytest.mark.parametrize("template", TEMPLATES)
def test_full_disk_finishes_no_batch_and_loses_none(
    place: Place, template: str, tmp_path: Path
) -> None:
    place.settings.update(TEMPLATES[template])
    rows = try_all(place, tmp_path / "told")
    clean, _ = rows.pop(ROOM)
    assert clean["state"] == "done"
    failed_at = set[str]()

    for size, (full, freed) in rows.items():
        if full["state"] != "done":
            assert (full["state"], full["counts"]) == ("open", [0, 1]), size
            assert FULL in full["cause"], size
            assert f"faulty/{MANIFEST}" not in full["objects"], size
            assert full["objects"].items() <= clean["objects"].items(), size  # nothing is torn
            failed_at.update(re.findall(r"did not write faulty/(\S+):", full["cause"]))
        assert (freed["state"], freed["objects"]) == ("done", clean["objects"]), size

    if "SCRATCH_DIR" in place.settings:
        assert failed_at & RECORDS == RECORDS
    else:
        assert failed_at & RECORDS <= {MANIFEST}  # the others are only moved there
    assert len(failed_at) > 1
