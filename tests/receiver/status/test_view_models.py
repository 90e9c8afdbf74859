import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.inbox.entries import Entry, State
from receiver.inbox.entry_fields import JobProgress, Summary
from receiver.outputs.manifest import Priced
from receiver.outputs.outcomes import OUTCOMES
from receiver.status.view_models import (
    MIN_WIDTH,
    make_progress_bar,
    make_row,
    page_path,
    share_outcomes,
)

NOW_MS = 1_769_083_200_000  # 2026-01-22T12:00:00Z


def entry(
    batch: str = "batches/abc",
    state: State = "done",
    summary: Summary | None = None,
    progress: JobProgress | None = None,
) -> Entry:
    return Entry(
        batch=batch,
        project="",
        state=state,
        event="batch.succeeded",
        source="static",
        attempts=0,
        waits=0,
        accepted_ms=NOW_MS - 60_000,
        changed_ms=NOW_MS - 20_000,
        cause="",
        summary=summary or Summary(),
        metadata={},
        progress=progress,
        timeline=(),
    )


def test_stored_row_says_both_times() -> None:
    summary = Summary(
        created="2026-01-22T09:00:00Z",
        ended="2026-01-22T11:59:30.000000001Z",
        display_name="evening",
    )
    row = make_row(entry(summary=summary), NOW_MS)
    assert (row.took_s, row.stored_s, row.display_name) == (3 * 3600 - 30, 10, "evening")
    assert (row.state, row.project, row.path) == ("stored", "default", "/status/batches/abc")


def test_row_of_an_earlier_version_is_shown() -> None:
    """It recorded only the outcomes."""
    row = make_row(entry(summary=Summary(outcomes={"ok": 3})), NOW_MS)
    assert (row.took_s, row.stored_s, row.cost, row.display_name) == (None, 40, "", "")
    assert [(share.name, share.width) for share in row.shares] == [("ok", 100)]


def test_stored_row_is_judged_by_its_counts() -> None:
    """A worker of an earlier version saw no problem in failed requests."""
    failed = Summary(
        state="SUCCEEDED", requests=5, outcomes={"ok": 0, "error": 5}, missing=0, balanced=True
    )
    row = make_row(entry(summary=failed), NOW_MS)
    assert row.judgement is not None
    assert (row.judgement.is_well, row.judgement.text) == (False, "stored; 5 errors")
    assert make_row(entry(state="open", summary=failed), NOW_MS).judgement is None


def test_unknown_cost_says_how_much_of_it_is_known() -> None:
    priced = Priced(3, 5, "2 lines could not be read")
    row = make_row(entry(summary=Summary(cost="unknown", priced=priced)), NOW_MS)
    assert (row.cost, row.priced) == (
        "unknown",
        "3 of 5 answers are priced: 2 lines could not be read",
    )


def test_clocks_that_differ_make_no_negative_time() -> None:
    summary = Summary(created="2026-01-22T13:00:00Z", ended="2026-01-22T12:30:00Z")
    row = make_row(entry(summary=summary), NOW_MS - 100_000)
    assert (row.took_s, row.stored_s, row.for_s) == (0, 0, 0)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("batches/abc", "/status/batches/abc"),
        ("acme/batches/abc", "/status/acme/batches/abc"),
        ('batches/"><script>', None),
        ("../../etc", None),
        ("", None),
    ],
)
def test_only_a_batch_has_a_page(name: str, path: str | None) -> None:
    assert page_path(name) == path


def test_running_row_says_how_far_and_how_long() -> None:
    progress = JobProgress(
        stage="split", bytes=250, total_bytes=1000, lines=7, requests=28, display_name="evening"
    )
    row = make_row(entry(state="leased", progress=progress), NOW_MS)
    assert row.progress is not None
    assert (row.progress.value, row.progress.maximum, row.progress.left_s) == (250, 1000, 60)
    assert row.progress.detail == "250 B of 1.0 kB, 7 of 28 results"
    assert row.display_name == "evening"


@pytest.mark.parametrize(
    ("progress", "value", "detail"),
    [
        (JobProgress(stage="ask"), None, ""),
        (JobProgress(stage="split", bytes=2000), None, "2.0 kB"),
        (JobProgress(stage="split", bytes=5, lines=3), None, "5 B, 3 results"),
        (JobProgress(stage="store", bytes=12, total_bytes=10), 10, "10 B of 10 B"),
    ],
)
def test_unknown_ends_are_not_guessed(
    progress: JobProgress, value: int | None, detail: str
) -> None:
    shown = make_progress_bar(progress, 60)
    assert (shown.value, shown.detail, shown.left_s) == (value, detail, None)


def test_missing_requests_are_part_of_the_bar() -> None:
    assert [(part.name, part.x, part.width) for part in share_outcomes({"ok": 3}, 1)] == [
        ("ok", 0, 75),
        ("missing", 75, 25),
    ]
    assert share_outcomes({}, None) == []


@given(st.dictionaries(st.sampled_from(OUTCOMES), st.integers(-5, 10**9)), st.integers(0, 10**6))
def test_bar_is_full_and_shows_every_outcome(outcomes: dict[str, int], missing: int) -> None:
    parts = share_outcomes(outcomes, missing)
    assert {part.name for part in parts} == {
        name for name, count in outcomes.items() if count > 0
    } | ({"missing"} if missing else set())
    if parts:
        assert sum(part.width for part in parts) == pytest.approx(100, abs=0.1)
        assert min(part.width for part in parts) > MIN_WIDTH / 2
