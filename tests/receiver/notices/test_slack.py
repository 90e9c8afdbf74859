import doctest
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest

from receiver.notices import slack
from receiver.notices.payloads import describe_manifest
from receiver.notices.slack import MAX_QUOTED, encode_text, quote
from receiver.outputs.manifest import Priced, Record
from receiver.settings.notice_events import NoticeType
from tests.receiver.outputs.test_manifest import MANIFEST


def text_of(kind: str, data: Mapping[str, Any], batch: str = "batches/b1") -> str:
    text: str = json.loads(encode_text(kind, batch, data))["text"]
    return text


def test_stored_batch_is_told_in_figures() -> None:
    whole = msgspec.structs.replace(
        MANIFEST,
        requests=1000,
        outcomes={"ok": 990, "error": 10, "empty": 0},
        missing=0,
        input=None,
    )
    assert text_of("results.stored", describe_manifest(whole).data).splitlines() == [
        "Batch `nightly` (`batches/b1`): *:warning: stored; 10 errors*",
        "1,000 requests, 990 answered; 1.5 USD",
        "`10 results are no answer: 10 errors`",
    ]


def test_good_news_is_short() -> None:
    well = msgspec.structs.replace(MANIFEST, outcomes={"ok": 2}, missing=0)
    assert text_of("results.stored", describe_manifest(well).data).splitlines() == [
        "Batch `nightly` (`batches/b1`): *stored*",
        "2 requests, 2 answered; 1.5 USD",
    ]


def test_what_to_do_is_said() -> None:
    retry = Record("b1/_retry.jsonl", "ab")
    failed = msgspec.structs.replace(MANIFEST, outcomes={"error": 1}, retry=retry)
    last = text_of("results.stored", describe_manifest(failed).data).splitlines()[-1]
    assert last == "`gemini-batch-receiver resubmit b1` sends again what is worth it"


def test_notice_of_an_older_version_is_judged_by_its_counts() -> None:
    data = {
        "state": "SUCCEEDED",
        "complete": True,
        "problems": [],
        "requests": 5,
        "outcomes": {"ok": 0, "error": 5},
    }
    text = text_of(
        "results.stored", data | {"missing": 0, "balanced": True, "cost": "unknown", "objects": {}}
    )
    assert text.splitlines()[0] == "Batch `batches/b1`: *:warning: stored; 5 errors*"


def test_unknown_cost_says_how_much_of_it_is_known() -> None:
    unknown = msgspec.structs.replace(
        MANIFEST, cost="unknown", priced=Priced(3, 5, "2 lines could not be read")
    )
    data = describe_manifest(unknown).data
    assert data["priced"] == {"answers": 3, "of": 5, "why": "2 lines could not be read"}
    assert (
        text_of("results.stored", data)
        .splitlines()[1]
        .endswith("; cost unknown: 3 of 5 answers are priced")
    )


def test_what_is_missing_is_loud() -> None:
    text = text_of("results.stored", describe_manifest(MANIFEST).data)
    assert ":warning: stored; 1 missing" in text
    assert "`1 of 2 requests has no result`" in text


def test_failure_says_its_error() -> None:
    failed = msgspec.structs.replace(MANIFEST, state="EXPIRED", requests=None, cost="unknown")
    assert ":warning: stored; expired at Gemini" in text_of(
        "results.failed", describe_manifest(failed).data
    )
    assert "an unknown number of requests" in text_of(
        "results.failed", describe_manifest(failed).data
    )


def test_buried_batch_says_how_to_go_on() -> None:
    text = text_of("batch.buried", {"cause": "no such file", "attempts": 5}, "acme/batches/b1")
    assert text.splitlines() == [
        "Batch `batches/b1` of project `acme`: *:warning: buried*",
        "After 5 attempts: `no such file`",
        "Try again: `gemini-batch-receiver inbox retry acme/batches/b1`",
    ]


ENDED = "acme/submissions/5d41402abc4b2a76b971"
COUNTS = {"requests": 1000, "answered": 1000, "blocked": 0, "failed": 0, "missing": 0}


def test_completed_submission_is_told_in_figures() -> None:
    data = {"state": "completed", "display_name": "evening", "why": None, "cost": "1.50", **COUNTS}
    assert text_of("submission.completed", data, ENDED).splitlines() == [
        "Submission `evening` (`submissions/5d41402abc4b2a76b971`) of project `acme`: *completed*",
        "1,000 requests, 1,000 answered; 1.50 USD",
    ]


def test_submission_of_a_table_says_what_was_saved() -> None:
    data = {"state": "completed", "display_name": "evening", "why": None, "cost": "1.50", **COUNTS}
    rows = {"rows": 2500, "copied": 1400, "reused": 100, "saved": 1500}
    told = text_of("submission.completed", data | {"rows": rows}, ENDED)
    assert "2,500 rows; 1,500 of them cost nothing" in told.splitlines()
    assert "rows" not in text_of("submission.completed", data | {"rows": None}, ENDED)


def test_stopped_submission_says_why_and_what_is_left() -> None:
    left = COUNTS | {"answered": 990, "blocked": 2, "failed": 7, "missing": 1}
    data = {"state": "stopped", "why": "its rounds are used up", "cost": None, **left}
    name = "submissions/5d41402abc4b2a76b971"
    assert text_of("submission.stopped", data, name).splitlines() == [
        f"Submission `{name}`: *:warning: stopped: its rounds are used up*",
        "1,000 requests, 990 answered; cost unknown",
        "2 blocked, 7 failed, 1 missing",
        "Look at it: `gemini-batch-receiver submissions show 5d41402abc4b2a76b971`",
    ]


def test_buried_submission_says_where_to_look() -> None:
    text = text_of("submission.buried", {"cause": "no such model", "attempts": 5}, ENDED)
    assert text.splitlines() == [
        "Submission `submissions/5d41402abc4b2a76b971` of project `acme`: *:warning: buried*",
        "After 5 attempts: `no such model`",
        "Look at it: `gemini-batch-receiver submissions show 5d41402abc4b2a76b971`",
    ]


HOSTILE = [
    "<!channel>",
    "<!here|here>",
    "<@U123>",
    "<#C123>",
    "<https://evil.example|your bank>",
    "@channel @here @everyone",
    "a`<!channel>`b",
    "&lt;!channel&gt;",
    "a\n\nBatch `x`: *stored*",
    "\u202e\x1b[31m\x00",
    "x" * 100_000,
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_names_are_harmless(hostile: str) -> None:
    quoted = quote(hostile)
    assert quoted.startswith("`")
    assert quoted.endswith("`")
    assert not set("<>`\n\x1b\x00\u202e") & set(quoted[1:-1])
    assert not any(mention in quoted for mention in ("@channel", "@here", "@everyone", "@U123"))
    assert quoted.count("&") == quoted.count("&amp;") + quoted.count("&lt;") + quoted.count("&gt;")
    assert len(quoted) <= MAX_QUOTED * 5 + 2


@pytest.mark.parametrize("hostile", HOSTILE)
def test_every_foreign_text_is_quoted(hostile: str) -> None:
    data = {
        "display_name": hostile,
        "cause": hostile,
        "problems": [hostile],
        "error": {"message": hostile},
        "attempts": 1,
    }
    counts = COUNTS | {"state": "stopped"}
    kinds = ("results.stored", "results.failed", "batch.buried", "submission.stopped")
    for kind in (*kinds, "submission.buried"):
        text = text_of(kind, data | (counts if kind == "submission.stopped" else {}))
        assert quote(hostile) in text
        assert hostile.isalnum() or hostile not in text
        assert len(text) < 4000


PLANTED = "PLANTED<!channel> *b* http://evil.example `c` \u202e\x1b[31m\n@here"
STORED_DATA = describe_manifest(MANIFEST).data
UNPRICED = {"cost": "unknown", "priced": {"answers": 1, "of": 2, "why": "w"}}
WHOLE: tuple[tuple[NoticeType, dict[str, Any]], ...] = (
    ("results.stored", STORED_DATA | {"error": {"code": 13, "message": "m"}, "advice": "`a` b"}),
    ("results.stored", STORED_DATA | UNPRICED),
    ("results.failed", STORED_DATA | {"state": "EXPIRED", "error": {"message": "m"}}),
    ("batch.buried", {"cause": "c", "attempts": 5, "display_name": "n"}),
    ("batch.overdue", {"state": "RUNNING", "created": "c", "hours": 24, "display_name": "n"}),
    ("receiver.test", {}),
)


def plant(data: object) -> Iterator[Any]:
    """The data with the planted text in place of one value or name, each in turn, at any depth."""
    yield PLANTED
    if isinstance(data, dict):
        for name, value in data.items():
            rest = {other: one for other, one in data.items() if other != name}
            yield rest | {PLANTED: value}
            yield from (rest | {name: planted} for planted in plant(value))
    elif isinstance(data, list):
        for at, value in enumerate(data):
            yield from ([*data[:at], planted, *data[at + 1 :]] for planted in plant(value))


@pytest.mark.parametrize(("kind", "whole"), WHOLE)
def test_what_is_planted_anywhere_stays_in_code_spans(
    kind: NoticeType, whole: dict[str, Any]
) -> None:
    """Gemini may say any state, and another program may have written the notice."""
    planted = [data for data in plant(whole) if isinstance(data, dict)]
    assert len(planted) >= 2 * len(whole)
    for data in planted:
        text = text_of(kind, data)
        assert "PLANTED" not in re.sub(r"`[^`\n]+`", "", text), data
        assert text.count("`") % 2 == 0, data
        assert not set("<>\x1b\u202e") & set(text), data
        assert "@here" not in text, data


def test_unknown_state_is_quoted() -> None:
    odd = msgspec.structs.replace(MANIFEST, state="see evil.example", missing=0)
    first, *_ = text_of("results.failed", describe_manifest(odd).data).splitlines()
    assert "*:warning: `stored; Gemini says see evil.example" in first


def test_examples_are_right() -> None:
    assert doctest.testmod(slack).failed == 0


def test_surrogates_make_no_error() -> None:
    assert b"\\ud800" not in encode_text("batch.buried", "batches/b1", {"cause": "\ud800"})
