"""A stored batch is stored once more: what it replaces, what it keeps, and when it refuses."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner, Result

from receiver.cli import main
from receiver.inbox.ledger import Arrival
from receiver.inbox.redis import DUE, ENTRY, METRICS
from receiver.outputs.judgement import judge_manifest
from receiver.storage.replaced import find_replaced, set_aside
from receiver.telemetry.metrics.history import WEEK, fetch_history
from tests.receiver.listing import ago
from tests.workers.lying import NAME, PAGE, Liar, lines_of, open_liar
from workers.job.context import current_settings
from workers.process import process_batch

WHOLE = lines_of("a", "b", "c")
MANIFEST = "b1/_manifest.json"


@pytest.fixture
def liar(
    client: "redis.Redis", redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Liar]:
    with open_liar(client, tmp_path / "outputs", monkeypatch, redis_url) as liar:
        liar.stats = {"requestCount": "3", "successfulRequestCount": "3"}
        yield liar


def run(*args: str) -> Result:
    return CliRunner().invoke(main, args)


def read(liar: Liar, name: str = MANIFEST) -> bytes:
    data = liar.storage.read(name)
    assert data is not None
    return data


def replaced(liar: Liar) -> list[str]:
    return find_replaced(liar.storage, "b1", read(liar))


def test_wrong_answer_that_was_stored_is_replaced(liar: Liar) -> None:
    liar.bodies = [PAGE]
    liar.store()
    old, old_errors = read(liar), read(liar, "b1/_errors.jsonl")
    liar.bodies = [WHOLE]
    said = run("replay", "--again", "b1")
    assert (said.exit_code, said.stdout) == (0, f"queued {NAME} to be stored again\n")
    assert liar.work() == "done"
    assert (liar.manifest.outcomes["ok"], judge_manifest(liar.manifest).problems) == (3, ())
    (kept,) = replaced(liar)
    assert read(liar, kept) == old
    assert read(liar, kept.replace("_manifest.json", "_errors.jsonl")) == old_errors
    shown = run("batches", "show", "b1")
    assert (shown.exit_code, f"replaces  {kept}" in shown.stdout.splitlines()) == (0, True)
    verified = run("verify", "b1")
    assert (verified.exit_code, verified.stdout.splitlines()[0]) == (
        0,
        f"{NAME}: its manifest replaced {kept}",
    )


def test_lost_object_comes_back(client: "redis.Redis", liar: Liar) -> None:
    """What it costs was counted when it was stored first."""
    liar.bodies = [WHOLE]
    liar.store()
    (counted,) = (slot.costs for slot in fetch_history(client) if slot.costs)
    assert [cost.batches for cost in counted.values()] == [1]
    before = read(liar)
    liar.storage.delete("b1/a.json")
    assert run("verify", "b1").exit_code == 1
    assert run("replay", "--again", "b1").exit_code == 0
    assert liar.work() == "done"
    assert (run("verify", "b1").exit_code, read(liar), replaced(liar)) == (0, before, [])
    assert [slot.costs for slot in fetch_history(client) if slot.costs] == [counted]


def test_batch_that_is_found_stored_costs_nothing_more(client: "redis.Redis", liar: Liar) -> None:
    """The inbox has forgotten it, and hears of it once more."""
    liar.bodies = [WHOLE]
    liar.store()
    assert run("inbox", "purge", "b1", "--yes").exit_code == 0
    liar.store()
    assert liar.entry.state == "done"
    (counted,) = (slot.costs for slot in fetch_history(client, WEEK) if slot.costs)
    assert [cost.batches for cost in counted.values()] == [1]


def test_lost_manifest_comes_back(liar: Liar) -> None:
    liar.bodies = [WHOLE]
    liar.store()
    before = read(liar)
    liar.storage.delete(MANIFEST)
    assert run("replay", "--again", "b1").exit_code == 0
    assert (liar.work(), read(liar)) == ("done", before)


def test_manifest_that_nobody_can_read_is_replaced(liar: Liar) -> None:
    liar.bodies = [WHOLE]
    liar.store()
    liar.storage.put_many([(MANIFEST, b"broken")])
    assert run("replay", "--again", "b1").exit_code == 0
    assert (liar.work(), liar.manifest.missing) == ("done", 0)
    assert [read(liar, name) for name in replaced(liar)] == [b"broken"]


@pytest.mark.parametrize("status", [403, 404, 410])
def test_results_that_are_gone_leave_what_is_stored(liar: Liar, status: int) -> None:
    liar.bodies = [lines_of("a", "b")]
    liar.store()
    before, liar.gone = read(liar), status
    said = run("replay", "--again", "b1")
    assert said.exit_code == 1
    assert (
        f"the results of {NAME} at Gemini are gone ({status} for files/batch-b1); what is stored stays"
        in said.stderr
    )
    assert (read(liar), liar.entry.state) == (before, "done")


def test_wrong_answer_replaces_nothing(liar: Liar) -> None:
    """A page comes first, as it may: nothing is overwritten for it."""
    liar.bodies = [WHOLE]
    liar.store()
    names, before = liar.storage.list_names("b1"), read(liar)
    liar.bodies = [PAGE, b"", lines_of("a")]
    assert run("replay", "--again", "b1").exit_code == 0
    assert liar.work() == "done"
    cause = "Gemini gives 1 results now, 3 are stored: what is stored stays as it is"
    assert (liar.entry.cause, liar.entry.timeline[-1].what) == (cause, "kept")
    assert (liar.storage.list_names("b1"), read(liar)) == (names, before)
    assert run("verify", "b1").exit_code == 0
    shown = run("inbox", "show", "b1").stdout.splitlines()
    assert {f"cause     {cause}", "judgement stored", "state     done"} <= set(shown)


def refuse_late(liar: Liar) -> None:
    """A file that is gone once the order is queued, and has been refused for days."""
    assert run("replay", "--again", "b1").exit_code == 0
    liar.gone = 404
    process_batch(NAME)
    assert (liar.entry.state, liar.entry.refusals) == ("open", 1)
    liar.client.hincrby(ENTRY + NAME, "refusals_since", -2 * 86_400_000)
    assert liar.work() == "done"


def test_refusal_that_the_job_finds_leaves_the_batch_stored(liar: Liar) -> None:
    liar.bodies = [WHOLE]
    liar.store()
    before = read(liar)
    refuse_late(liar)
    assert (read(liar), liar.entry.summary.outcomes["ok"], liar.entry.summary.expired) == (
        before,
        3,
        "",
    )
    assert "the result file has expired or was deleted" in liar.entry.cause
    assert liar.client.hget(METRICS, "gbr_buried_batches_total") is None
    assert run("replay", "--again", "b1").exit_code == 1


def test_results_that_expire_in_between_leave_the_batch_stored(liar: Liar) -> None:
    """Old ones, of which the first reading came and the second did not."""
    liar.bodies, liar.ended = [WHOLE], ago(days=9)
    liar.store()
    assert run("replay", "--again", "b1").exit_code == 0
    liar.gone_after = liar.readings + 1
    for _ in range(3):
        liar.readings = liar.gone_after - 1
        liar.client.zadd(DUE, {NAME: 0}, xx=True)
        process_batch(NAME)
    assert (liar.entry.state, liar.entry.summary.expired, liar.entry.timeline[-1].what) == (
        "done",
        "",
        "kept",
    )


def test_lost_manifest_of_refused_results_is_given_up(liar: Liar) -> None:
    """Then nothing is stored, and a person must hear of it."""
    liar.bodies = [WHOLE]
    liar.store()
    liar.storage.delete(MANIFEST)
    assert run("replay", "--again", "b1").exit_code == 0
    liar.gone = 404
    process_batch(NAME)
    liar.client.hincrby(ENTRY + NAME, "refusals_since", -2 * 86_400_000)
    assert liar.work() == "buried"


def test_wiped_redis_leaves_the_batch_stored(liar: Liar) -> None:
    liar.bodies = [WHOLE]
    liar.store()
    before, liar.bodies = read(liar), [PAGE]
    assert run("replay", "--again", "b1").exit_code == 0
    process_batch(NAME)
    liar.client.flushall()
    assert "1 already stored" in run("reconcile").stdout
    assert (read(liar), run("verify", "b1").exit_code) == (before, 0)


def test_better_short_results_replace_worse_ones(liar: Liar) -> None:
    liar.bodies = [b""]
    liar.store()
    liar.bodies = [lines_of("a", "b")]
    assert run("replay", "--again", "b1").exit_code == 0
    assert (liar.work(), liar.manifest.missing) == ("done", 1)
    assert liar.manifest.source.doubted == "Gemini says 3 results, 2 came"


def test_second_order_waits_for_the_first(liar: Liar) -> None:
    liar.bodies = [WHOLE]
    liar.store()
    assert run("replay", "--again", "b1").exit_code == 0
    said = run("replay", "--again", "b1")
    assert (said.exit_code, "is being worked on" in said.stderr) == (1, True)


def test_worker_that_died_in_between_loses_no_old_record(liar: Liar, tmp_path: Path) -> None:
    """It had set the old manifest aside and replaced the index: the next one keeps the old one."""
    liar.bodies = [lines_of("a", "b")]
    liar.store()
    index = read(liar, "b1/_index.jsonl.gz")
    set_aside(liar.storage, "b1", read(liar), tmp_path)
    assert replaced(liar) == []
    liar.storage.put_many([("b1/_index.jsonl.gz", b"of the new results")])
    liar.bodies = [WHOLE]
    liar.inbox.accept([Arrival(NAME, "batch.succeeded", "again", reopen="all")])
    assert (liar.work(), liar.manifest.missing) == ("done", 0)
    (kept,) = replaced(liar)
    assert read(liar, kept.replace("_manifest.json", "_index.jsonl.gz")) == index


def test_plain_replay_leaves_a_stored_batch(liar: Liar) -> None:
    liar.bodies = [lines_of("a", "b")]
    liar.store()
    before, liar.bodies = read(liar), [WHOLE]
    assert "1 already stored, 0 queued" in run("replay", "--batch", "b1").stdout
    liar.accept()
    assert (liar.work(), read(liar)) == ("done", before)


def test_dry_run_queues_nothing(liar: Liar) -> None:
    liar.bodies = [WHOLE]
    liar.store()
    said = run("replay", "--again", "b1", "--dry-run")
    assert (said.stdout, liar.entry.state) == (f"would queue {NAME} to be stored again\n", "done")


def test_what_only_a_replaced_manifest_names_is_no_stray(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forms that are no longer asked for, and outputs of a template that was changed in between."""
    monkeypatch.setenv("OUTPUT_FORMS", "text,table")
    monkeypatch.setenv("OUTPUT_TEMPLATE", "{batch}/all.jsonl")
    current_settings.cache_clear()
    liar.bodies = [WHOLE]
    liar.store()
    assert run("verify", "b1").exit_code == 0
    monkeypatch.delenv("OUTPUT_FORMS")
    monkeypatch.delenv("OUTPUT_TEMPLATE")
    current_settings.cache_clear()
    assert run("replay", "--again", "b1").exit_code == 0
    assert liar.work() == "done"
    assert {"b1/all.jsonl", "b1/_forms.jsonl.gz", "b1/a.json"} <= set(liar.storage.list_names("b1"))
    verified = run("verify", "b1")
    assert verified.exit_code == 0, verified.stdout + verified.stderr
    liar.storage.put_many([("b1/more.json", b"x")])
    assert "b1/more.json: no record of the batch names it" in run("verify", "b1").stdout
