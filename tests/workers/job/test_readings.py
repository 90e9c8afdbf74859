"""Answers of Gemini that are wrong, and how often each is asked for before it is believed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from receiver.inbox.outages import find_outages
from receiver.inbox.redis import DUE
from receiver.outputs.judgement import judge_manifest
from tests.workers.lying import NAME, PAGE, REFUSAL, SHORT_REFUSAL, Liar, lines_of, open_liar, row
from workers.job.context import current_settings
from workers.job.readings import MAX_READINGS
from workers.process import process_batch
from workers.results.doubts import PAUSES

ENOUGH = len(PAUSES) + 1  # readings of the same bytes
WHOLE = lines_of("a", "b", "c")
LIES = {
    "empty": b"",
    "blank": b"\n\n",
    "page": PAGE,
    "page as long as the results": b"<p>\n" * 3,
    "refusal": REFUSAL,
    "refusal on one line": SHORT_REFUSAL,
    "list": b"[]\n",
    "other words": b'{"message":"Internal Server Error"}\n' * 3,
    "short": lines_of("a", "b"),
    "short, with a line twice": lines_of("a", "b", "b"),
    "short, then a page": lines_of("a", "b") + PAGE,
    "cut": WHOLE[:-9],
    "cut before its last newline but one": WHOLE[: WHOLE.rindex(b"{") - 1],
    "cut within a letter": WHOLE + '{"key":"d","text":"ü'.encode()[:-1],
    "zeros": b"\x00" * 300,
}


@pytest.fixture
def liar(
    client: "redis.Redis", redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Liar]:
    with open_liar(client, tmp_path / "outputs", monkeypatch, redis_url) as liar:
        liar.stats = {"requestCount": "3", "successfulRequestCount": "3"}
        yield liar


def names(liar: Liar) -> set[str]:
    return {name.removeprefix("b1/") for name in liar.storage.list_names("b1")}


STORED = {
    "a.json",
    "b.json",
    "c.json",
    "_errors.jsonl",
    "_index.jsonl.gz",
    "_manifest.json",
    "_retry.jsonl",
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_lie_is_not_committed(liar: Liar, lie: bytes) -> None:
    liar.bodies = [lie, WHOLE]
    manifest = liar.store()
    assert liar.readings == 2
    assert (manifest.outcomes["ok"], manifest.missing, judge_manifest(manifest).problems) == (
        3,
        0,
        (),
    )
    assert names(liar) == STORED


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_lie_that_stays_is_committed_loudly(liar: Liar, lie: bytes) -> None:
    liar.bodies = [lie]
    manifest = liar.store()
    assert liar.readings == ENOUGH
    assert isinstance(manifest.source.doubted, str)
    assert not judge_manifest(manifest).is_well
    if not any(manifest.outcomes[name] for name in ("ok", "error")):
        assert manifest.balanced is False


def test_truth_is_asked_for_once(liar: Liar) -> None:
    liar.bodies = [WHOLE]
    manifest = liar.store()
    assert (liar.readings, judge_manifest(manifest).problems) == (1, ())
    assert b"doubted" not in (liar.storage.root / "b1/_manifest.json").read_bytes()


def test_other_bytes_begin_the_count_anew(liar: Liar) -> None:
    liar.bodies = [PAGE, b"", PAGE, lines_of("a"), lines_of("a", "b")]
    manifest = liar.store()
    assert liar.readings == 4 + ENOUGH
    assert manifest.source.doubted == "Gemini says 3 results, 2 came"


def test_second_delivery_hastens_nothing(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each makes the batch due at once; the minutes are waited for all the same."""
    liar.bodies = [b""]
    liar.accept()
    monkeypatch.setenv("RETRY_BASE_S", "60")
    current_settings.cache_clear()
    for _ in range(2 * ENOUGH):
        liar.accept()
        process_batch(NAME)
    assert (liar.readings, liar.entry.state) == (2 * ENOUGH, "open")
    assert "Gemini says 3 results, 0 came" in liar.entry.cause


def test_emptied_redis_begins_the_series_anew(liar: Liar) -> None:
    liar.bodies = [b"", b"", WHOLE]
    liar.accept()
    process_batch(NAME)
    liar.client.flushall()
    manifest = liar.store()
    assert (manifest.missing, liar.readings) == (0, 3)


def test_inlined_results_are_doubted_too(liar: Liar) -> None:
    liar.inlined = [row("a"), {"error": {"code": 3}}]
    manifest = liar.store()
    assert manifest.source.doubted == "Gemini says 3 results, 2 came"


@pytest.mark.parametrize(
    ("stats", "doubted"),
    [
        ({"requestCount": "3", "successfulRequestCount": "2"}, False),
        ({"requestCount": "3", "successfulRequestCount": "1", "failedRequestCount": "1"}, False),
        ({"requestCount": "3", "failedRequestCount": "3"}, True),
        ({"requestCount": "3"}, True),
        ({}, False),
        ({"requestCount": "1", "successfulRequestCount": "1"}, False),
    ],
)
def test_counts_of_gemini_decide(liar: Liar, stats: dict[str, str], *, doubted: bool) -> None:
    liar.stats, liar.bodies = stats, [lines_of("a", "b")]
    assert isinstance(liar.store().source.doubted, str) is doubted


def test_empty_results_of_nobody_knows_how_many_are_doubted(liar: Liar) -> None:
    liar.stats, liar.bodies = {}, [b""]
    manifest = liar.store()
    assert (manifest.source.doubted, manifest.balanced) == ("it is empty", None)


@pytest.mark.parametrize("state", ["CANCELLED", "EXPIRED", "FAILED"])
def test_batch_that_ended_early_may_be_short(liar: Liar, state: str) -> None:
    liar.state, liar.bodies = state, [lines_of("a", "b")]
    liar.stats = {"requestCount": "3"}
    manifest = liar.store()
    assert (liar.readings, manifest.missing, manifest.balanced) == (1, 1, True)


@pytest.mark.parametrize("lie", [WHOLE[:-9], PAGE, REFUSAL], ids=["cut", "page", "refusal"])
def test_cut_file_of_a_cancelled_batch_is_doubted(liar: Liar, lie: bytes) -> None:
    liar.state, liar.bodies = "CANCELLED", [lie, lines_of("a", "b")]
    assert (liar.store().missing, liar.readings) == (1, 2)


def test_packed_lie_is_doubted(liar: Liar) -> None:
    liar.packed, liar.bodies = True, [PAGE, WHOLE]
    assert (liar.store().missing, liar.readings) == (0, 2)


def test_last_line_needs_no_newline(liar: Liar) -> None:
    liar.bodies = [WHOLE[:-1]]
    assert (liar.store().missing, liar.readings) == (0, 1)


def test_second_storing_gives_the_same_manifest(liar: Liar) -> None:
    """How often it was asked, and when, is not in it."""
    liar.bodies = [PAGE, lines_of("a", "b")]
    liar.store()
    path = liar.storage.root / "b1/_manifest.json"
    first = path.read_bytes()
    path.unlink()
    liar.store()
    assert path.read_bytes() == first


def test_wrong_results_that_never_stay_the_same_are_an_outage(liar: Liar) -> None:
    """A page with the time in it is neither stored nor buried for long, and `status` shows it."""
    liar.bodies = [PAGE + str(number).encode() for number in range(MAX_READINGS + 8)]
    liar.accept()
    for _ in range(MAX_READINGS + 5):
        liar.client.zadd(DUE, {NAME: 0}, xx=True)
        process_batch(NAME)
    assert (liar.entry.state, liar.entry.waits, liar.entry.outages) == ("open", MAX_READINGS, 5)
    (outage,) = find_outages(liar.client)
    assert outage.cause.startswith(
        f"Gemini gives wrong results, other ones at each of {MAX_READINGS + 5} readings: "
    )
    liar.bodies = [WHOLE]
    liar.client.zadd(DUE, {NAME: 0}, xx=True)
    assert (liar.work(), liar.manifest.outcomes["ok"]) == ("done", 3)
