"""What a replay decides, without anything beside it."""

from collections.abc import Sequence
from typing import Any

import pytest

from receiver.errors import GeminiError, NotFoundError
from receiver.gemini.operations import Batch, Unread
from receiver.recovery.replay import (
    GROUP_SIZE,
    MAX_FAULTS,
    Asking,
    ReplayCounts,
    Verdict,
    Window,
    replay,
)


def batch(
    name: str, state: str = "SUCCEEDED", ended: str | None = "2026-11-22T12:00:00.5Z"
) -> Batch:
    nothing: dict[str, Any] = dict.fromkeys(
        (
            "display_name",
            "model",
            "created",
            "requests",
            "result_file",
            "error_code",
            "error_message",
        )
    )
    return Batch(name=name, state=state, ended=ended, inlined=(b"{}",), **nothing)


def queue_all(batches: Sequence[Batch]) -> list[Verdict]:
    assert all(one.inlined is None for one in batches)  # a group of them would not fit in memory
    return ["queued" for _ in batches]


def run(
    listed: Sequence[Batch | Unread],
    known: dict[str, Batch] | None = None,
    stored: set[str] | None = None,
    window: Window | None = None,
) -> ReplayCounts:
    return replay(
        listed,
        lambda name: (known or {})[name],
        lambda names: (stored or set()) & set(names),
        queue_all,
        window or Window(),
    )


@pytest.mark.parametrize(
    ("since", "until", "inside"),
    [
        (None, None, True),
        ("2026-11-22T12:00:00", None, True),
        ("2026-11-22T12:00:01", None, False),
        (None, "2026-11-22T12:00:01", True),
        (None, "2026-11-22T12:00:00", False),
        ("2026-11-22T11:00:00", "2026-11-22T13:00:00", True),
    ],
)
def test_window_goes_by_the_end(since: str | None, until: str | None, *, inside: bool) -> None:
    assert Window(since, until).holds(batch("batches/a")) is inside


def test_unknown_end_is_in_every_window() -> None:
    assert Window("2026-11-22T12:00:01", "2026-11-22T12:00:02").holds(
        batch("batches/a", ended=None)
    )


def test_stored_batches_are_left() -> None:
    counts = run([batch("batches/a"), batch("batches/b")], stored={"batches/a"})
    assert (counts.found, counts.stored, counts.queued) == (2, 1, ["batches/b"])


def test_batch_listed_twice_counts_once() -> None:
    assert run([batch("batches/a")] * 2).queued == ["batches/a"]


def test_many_batches_are_taken_in_groups() -> None:
    names = [f"batches/{number}" for number in range(2 * GROUP_SIZE + 1)]
    assert run([batch(name) for name in names]).queued == names


def test_unfinished_batch_is_asked_for() -> None:
    listed = [batch("batches/a", "RUNNING", None), batch("batches/b", "RUNNING", None)]
    counts = run(listed, {"batches/a": batch("batches/a"), "batches/b": listed[1]})
    assert (counts.queued, counts.unfinished) == (["batches/a"], 1)


def test_late_end_outside_the_window_is_left() -> None:
    listed = [batch("batches/a", "RUNNING", None)]
    assert (
        run(listed, {"batches/a": batch("batches/a")}, window=Window(until="2026-11-22T12:00:00"))
        == ReplayCounts()
    )


def test_refused_batch_is_unclear() -> None:
    def get_batch(name: str) -> Batch:
        if name == "batches/a":
            raise NotFoundError("no such batch", status=404)
        return batch(name)

    counts = ReplayCounts()
    asking = Asking(get_batch, counts)
    assert [asking.get("batches/a"), asking.get("batches/b")] == [None, batch("batches/b")]
    assert (counts.unclear, counts.reasons) == (["batches/a"], ["no such batch"])


def test_one_failing_batch_leaves_the_others_theirs() -> None:
    def get_batch(name: str) -> Batch:
        if name == "batches/a":
            raise GeminiError("try again", status=503, retryable=True)
        return batch(name)

    running = [batch(f"batches/{name}", "RUNNING", None) for name in ("a", "b", "c")]
    counts = ReplayCounts()
    asking = Asking(get_batch, counts)
    found = [asking.get(one.name) for one in running * 3]
    assert [one.name for one in found if one] == ["batches/b", "batches/c"] * 3
    assert counts.unclear == ["batches/a"] * 3


def test_gemini_that_is_away_ends_the_replay() -> None:
    def get_batch(_: str) -> Batch:
        raise GeminiError("try again", status=503, retryable=True)

    asking = Asking(get_batch, ReplayCounts())
    assert [asking.get("batches/a") for _ in range(MAX_FAULTS - 1)] == [None] * (MAX_FAULTS - 1)
    with pytest.raises(GeminiError):
        asking.get("batches/a")


def test_what_cant_be_read_takes_no_other_with_it() -> None:
    counts = run([Unread("batches/odd", "no sense"), batch("batches/a"), Unread("", "no name")])
    assert (counts.queued, counts.unclear) == (["batches/a"], ["batches/odd", "(no name)"])
    assert counts.reasons == ["can't be read: no sense", "can't be read: no name"]
