"""What `batches merged` counts: each request once, by its last outcome, whatever is duplicate."""

import gzip
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from receiver.answers.index_rows import IndexRow, encode_rows
from receiver.cli import main
from receiver.outputs.paths import index_name, input_name, retry_name
from receiver.storage import LocalStorage
from receiver.submissions.batch_links import resubmitted_name
from tests.receiver.records import put_manifest
from workers.submissions.merged import MergedView, view_retries

Rows = Sequence[tuple[str | None, str]]  # key and outcome of each line


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


def put_input(storage: LocalStorage, batch_id: str, keys: str) -> None:
    lines = b"".join(
        json.dumps({"key": key, "request": {}}).encode() + b"\n" for key in keys.split()
    )
    storage.put_many([(input_name(batch_id), gzip.compress(lines))])


def put_batch(
    storage: LocalStorage,
    batch_id: str,
    rows: Rows,
    requests: int | None,
    asked: str | None = None,
    **fields: object,
) -> None:
    """Store a batch as a worker would; `asked` are the keys of its input, if the storage has it."""
    counts = Counter(outcome for _, outcome in rows)
    distinct = len(rows) - counts["duplicate"]
    missing = None if requests is None else max(0, requests - distinct)
    balanced = (
        None
        if requests is None
        else requests == distinct + (missing or 0) and not counts["duplicate"]
    )
    made = [
        IndexRow(n, key, outcome, f"{batch_id}/{n}", 0, 2, "00")
        for n, (key, outcome) in enumerate(rows, 1)
    ]
    storage.put_many([(index_name(batch_id), gzip.compress(encode_rows(made)))])
    whole: dict[str, object] = {
        "requests": requests,
        "outcomes": counts,
        "missing": missing,
        "balanced": balanced,
    }
    if asked is not None:
        put_input(storage, batch_id, asked)
        whole["input"] = {
            "name": input_name(batch_id),
            "sha256": "00",
            "requests": len(asked.split()),
        }
    index = {"name": index_name(batch_id), "sha256": "00"}
    put_manifest(storage, f"batches/{batch_id}", **({"index": index} | whole | fields))


def follow(storage: LocalStorage, batch_id: str, *followers: str) -> None:
    names = [f"batches/{one}" for one in followers]
    storage.put_many([(resubmitted_name(batch_id), json.dumps(names).encode())])


def told(view: MergedView) -> tuple[bool, int, int | None, list[str]]:
    return view.is_well, view.answered, view.requests, view.rest


def add_up(view: MergedView) -> bool:
    return view.requests == sum(view.outcomes.values()) + (view.missing or 0) + view.waiting


def test_key_that_came_empty_first_counts_once(storage: LocalStorage) -> None:
    """It said that 3 of 2 requests are answered."""
    put_batch(storage, "a", [("k1", "empty"), ("k2", "error")], 2, "k1 k2")
    put_batch(storage, "b", [("k1", "ok"), ("k2", "ok")], 2, "k1 k2")
    follow(storage, "a", "b")
    view = view_retries(storage, "a")
    assert told(view) == (True, 2, 2, [])
    assert [one.answered for one in view.batches] == [0, 2]


@pytest.mark.parametrize("outcome", ["blocked", "truncated", "empty", "error", "malformed"])
def test_what_is_no_answer_is_none(storage: LocalStorage, outcome: str) -> None:
    put_batch(storage, "a", [("k1", "ok"), ("k2", outcome)], 2)
    view = view_retries(storage, "a")
    assert (view.is_well, view.answered, view.outcomes) == (False, 1, {"ok": 1, outcome: 1})


def test_failed_retry_undoes_no_answer(storage: LocalStorage) -> None:
    """Sent to two models: the first answered."""
    put_batch(storage, "a", [("k1", "error"), ("k2", "ok")], 2, "k1 k2")
    put_batch(storage, "b", [("k1", "ok")], 1, "k1")
    put_batch(storage, "c", [("k1", "error")], 1, "k1")
    follow(storage, "a", "b", "c")
    view = view_retries(storage, "a")
    assert (told(view), view.resent["k1"].batch) == ((True, 2, 2, []), "batches/b")


def test_key_answered_in_both_counts_once(storage: LocalStorage) -> None:
    put_batch(storage, "a", [("k1", "ok"), ("k2", "ok")], 2)
    put_batch(storage, "b", [("k1", "ok"), ("k2", "error")], 2, "k1 k2")
    follow(storage, "a", "b")
    assert told(view_retries(storage, "a")) == (True, 2, 2, [])


def test_second_line_of_a_key_is_no_request(storage: LocalStorage) -> None:
    put_batch(
        storage,
        "a",
        [("k1", "ok"), ("k1", "duplicate"), ("k2", "error"), ("k2", "duplicate")],
        2,
        "k1 k2",
    )
    assert told(view_retries(storage, "a")) == (False, 1, 2, ["1 error"])
    put_batch(storage, "b", [("k2", "ok"), ("k2", "duplicate")], 1, "k2")
    follow(storage, "a", "b")
    assert told(view_retries(storage, "a")) == (True, 2, 2, [])


def test_broken_line_before_the_answer_is_no_request(storage: LocalStorage) -> None:
    put_batch(
        storage,
        "a",
        [("k1", "malformed"), ("k1", "ok"), ("k2", "malformed"), ("k2", "malformed")],
        2,
    )
    view = view_retries(storage, "a")
    assert told(view) == (False, 1, 2, ["1 malformed"])
    assert add_up(view)


def test_missing_requests_are_answered_later(storage: LocalStorage) -> None:
    put_batch(storage, "a", [("k1", "ok")], 3, "k1 k2 k3")
    put_batch(storage, "b", [("k2", "ok")], 2, "k2 k3")
    follow(storage, "a", "b")
    view = view_retries(storage, "a")
    assert told(view) == (False, 2, 3, ["1 missing"])
    assert (view.resent["k3"].outcome, view.resent["k3"].batch) == ("missing", "batches/b")
    assert add_up(view)


def test_lines_without_a_key_give_way_to_their_requests(storage: LocalStorage) -> None:
    put_batch(
        storage, "a", [(None, "unkeyed"), (None, "unkeyed"), (None, "malformed")], 4, "k1 k2 k3 k4"
    )
    alone = view_retries(storage, "a")
    assert told(alone) == (False, 0, 4, ["1 malformed", "2 without a key", "1 missing"])
    put_batch(storage, "b", [("k1", "ok"), ("k2", "ok")], 2, "k1 k2")
    follow(storage, "a", "b")
    half = view_retries(storage, "a")
    assert (half.answered, add_up(half)) == (2, True)
    put_batch(storage, "c", [("k3", "ok"), ("k4", "ok")], 2, "k3 k4")
    follow(storage, "a", "b", "c")
    assert told(view_retries(storage, "a")) == (True, 4, 4, [])


def test_batch_that_is_not_stored_yet_is_not_known(storage: LocalStorage) -> None:
    put_batch(storage, "a", [("k1", "ok"), ("k2", "error"), ("k3", "blocked")], 3, "k1 k2 k3")
    put_input(storage, "b", "k2")
    follow(storage, "a", "b")
    view = view_retries(storage, "a")
    assert told(view) == (False, 1, 3, ["1 blocked", "1 sent again and not known yet"])
    assert (view.resent["k2"].outcome, add_up(view)) == (None, True)


def test_batch_of_which_nothing_is_known_changes_nothing(storage: LocalStorage) -> None:
    put_batch(storage, "a", [("k1", "ok"), ("k2", "error")], 2, "k1 k2")
    follow(storage, "a", "b")
    view = view_retries(storage, "a")
    assert told(view) == (False, 1, 2, ["1 error"])
    assert [one.requests for one in view.batches] == [2, None]


def test_unknown_number_of_requests_is_said(storage: LocalStorage) -> None:
    put_batch(storage, "a", [("k1", "ok"), (None, "unkeyed")], None)
    assert told(view_retries(storage, "a")) == (
        False,
        1,
        None,
        ["1 without a key", "unknown how many missing"],
    )


def test_retry_of_a_retry_is_followed(storage: LocalStorage) -> None:
    put_batch(storage, "a", [("k1", "error"), ("k2", "error"), ("k3", "ok")], 3, "k1 k2 k3")
    put_batch(storage, "b", [("k1", "ok"), ("k2", "error")], 2, "k1 k2")
    put_batch(storage, "c", [("k2", "ok")], 1, "k2")
    follow(storage, "a", "b")
    follow(storage, "b", "c")
    follow(storage, "c", "a", "b")  # no circle keeps it busy
    view = view_retries(storage, "a")
    assert told(view) == (True, 3, 3, [])
    assert [(one.batch, one.sent_again) for one in view.batches] == [
        ("batches/a", 2),
        ("batches/b", 1),
        ("batches/c", 0),
    ]


def test_answers_that_nobody_asked_for_answer_nothing(storage: LocalStorage) -> None:
    put_batch(storage, "a", [("k1", "ok"), ("x", "ok")], 2, "k1 k2")
    assert told(view_retries(storage, "a")) == (False, 1, 2, ["1 missing"])


def test_more_keys_than_requests_are_said(storage: LocalStorage) -> None:
    """Without the input nobody knows which of them was not asked for."""
    put_batch(storage, "a", [("k1", "ok"), ("x", "ok")], 2)
    put_batch(storage, "b", [("k2", "ok")], 1, "k2")
    follow(storage, "a", "b")
    assert told(view_retries(storage, "a")) == (False, 3, 2, ["1 more key than requests"])


def test_batch_that_failed_is_whole_once_all_was_sent_again(storage: LocalStorage) -> None:
    put_batch(storage, "a", [], 2, "k1 k2", state="FAILED", index=None)
    assert told(view_retries(storage, "a")) == (False, 0, 2, ["2 missing"])
    put_batch(storage, "b", [("k1", "ok"), ("k2", "ok")], 2, "k1 k2")
    follow(storage, "a", "b")
    assert told(view_retries(storage, "a")) == (True, 2, 2, [])


def test_command_says_the_sum_and_what_to_do(storage: LocalStorage, tmp_path: Path) -> None:
    put_batch(storage, "a", [("k1", "ok"), ("k2", "error")], 2, "k1 k2")
    retry = {"name": retry_name("b"), "sha256": "ab"}
    put_batch(storage, "b", [("k2", "error")], 1, "k2", retry=retry)
    follow(storage, "a", "b")
    environ = {"GEMINI_API_KEY": "k", "STORAGE_URL": tmp_path.as_uri()}
    done = CliRunner().invoke(main, ["batches", "merged", "a"], env=environ)
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "batches/a: 2 requests, 1 answered, 1 sent again; stored; 1 error",
        "batches/b: 1 request, 0 answered; stored; 1 error",
        "together: 1 of 2 requests are answered; 1 error",
    ]
    assert done.stderr.splitlines() == [
        '  "k2": error in batches/b',
        "`gemini-batch-receiver resubmit b` sends again what is worth it",
    ]
    found = json.loads(
        CliRunner().invoke(main, ["batches", "merged", "a", "--json"], env=environ).stdout
    )
    assert (found["answered"], found["requests"], found["complete"], found["outcomes"]) == (
        1,
        2,
        False,
        {"ok": 1, "error": 1},
    )
