import json
import tracemalloc
from dataclasses import replace
from decimal import Decimal
from os import SEEK_CUR
from pathlib import Path

import pytest

from receiver.errors import FaultyInputError
from receiver.settings.limits import DEFAULT_LIMITS
from receiver.settings.settings import Settings, read_settings
from receiver.submissions.estimates import describe_estimate
from receiver.submissions.gauges import ASSUMED_ANSWER_TOKENS
from receiver.submissions.output_history import MAX_MANIFESTS
from receiver.submissions.planning import SubmitRequest, check_input, draft_submission
from receiver.submissions.quotas import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    MAX_BATCHES,
    MAX_FILE_BYTES,
)
from receiver.submissions.splitting import PART_SHARE, SplitInput
from receiver.submissions.token_counts import MARGIN, PLACES
from receiver.submissions.validation import MAX_LINE_BYTES
from receiver.submissions.weighing import weigh_input
from tests.pages import section

MODEL = "gemini-3.8-flash"
REQUESTS = 40


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Requests of 500 tokens as the sandbox counts, and 100 at most in each answer."""
    path = tmp_path / "requests.jsonl"
    row = {
        "contents": [{"parts": [{"text": "word " * 400}]}],
        "generation_config": {"max_output_tokens": 100},
    }
    lines = (json.dumps({"key": f"k{number}", "request": row}) for number in range(REQUESTS))
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.fixture
def settings(sandbox_url: str, redis_url: str, tmp_path: Path) -> Settings:
    prices = tmp_path / "prices.json"
    listed = {MODEL: [{"input": "1", "output": "10"}]}
    prices.write_text(json.dumps({"date": "2026-11-28", "models": listed}))
    return read_settings(
        {
            "GEMINI_API_KEY": "right-key",
            "GEMINI_BASE_URL": sandbox_url,
            "REDIS_URL": redis_url,
            "STORAGE_URL": (tmp_path / "outputs").as_uri(),
            "PRICES_FILE": str(prices),
        }
    )


def weigh(settings: Settings | None, source: Path, model: str = MODEL) -> SplitInput:
    return weigh_input(settings, source, SubmitRequest("", model))


def test_submission_knows_what_it_may_cost(settings: Settings, source: Path) -> None:
    plan = weigh(settings, source)
    draft = draft_submission(source, SubmitRequest("", MODEL), plan)
    assert draft.estimate == plan.estimate
    assert draft.estimate is not None
    assert draft.estimate.input_tokens == pytest.approx(REQUESTS * 500, rel=0.01)
    low = Decimal(REQUESTS * 500) / 1_000_000
    answers = Decimal(REQUESTS * 100 * 10) / 1_000_000
    assert draft.estimate.low == pytest.approx(low, rel=Decimal("0.01"))
    assert draft.estimate.expected == pytest.approx(low + answers, rel=Decimal("0.01"))
    each_byte = Decimal(source.stat().st_size) / 1_000_000
    assert draft.estimate.high == pytest.approx(each_byte + answers, rel=Decimal("0.01"))
    assert [part.most_cost for part in draft.parts] == [draft.estimate.high]
    assert describe_estimate(draft.estimate)[1].startswith("  Gemini counted 20 of 40 requests, ")


def test_project_decides_how_it_is_split(settings: Settings, source: Path) -> None:
    """Three parts of a third each, and a rest: 40 requests of 600 tokens at most."""
    limits = replace(DEFAULT_LIMITS, enqueued_tokens=((MODEL, 20_000),))
    project = replace(settings.project(""), limits=limits)
    plan = weigh_input(replace(settings, projects={"": project}), source, SubmitRequest("", MODEL))
    assert [part.requests for part in plan.parts] == [11, 11, 11, 7]


def test_without_settings_bytes_bound_the_cost(source: Path) -> None:
    estimate = weigh(None, source).estimate
    assert estimate is not None
    assert "by the size of the requests alone" in estimate.basis
    assert estimate.high is not None
    assert estimate.rates is not None
    assert estimate.rates.counted == 0


def test_bad_luck_is_no_error(source: Path, tmp_path: Path) -> None:
    """Neither Gemini nor Redis nor the storage is there."""
    (tmp_path / "file").touch()
    away = read_settings(
        {
            "GEMINI_API_KEY": "right-key",
            "GEMINI_BASE_URL": "http://127.0.0.1:1",
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "STORAGE_URL": (tmp_path / "file" / "outputs").as_uri(),
        }
    )
    estimate = weigh(away, source).estimate
    assert estimate is not None
    assert "tokens were not counted: no answer from Gemini" in estimate.basis
    assert "right-key" not in estimate.basis


def test_unknown_price_stays_unknown(settings: Settings, source: Path) -> None:
    estimate = weigh(settings, source, "gemini-3.5-flash").estimate
    assert estimate is not None
    assert (estimate.low, estimate.expected, estimate.high) == (None, None, None)
    assert "the price list has no price of the model" in estimate.basis


def test_line_without_an_end_takes_bounded_memory(tmp_path: Path) -> None:
    path, told = tmp_path / "requests.jsonl", list[int]()
    with path.open("wb") as file:
        for size_bytes in (MAX_LINE_BYTES, 3, 3 * MAX_LINE_BYTES):
            file.seek(size_bytes, SEEK_CUR)
            file.write(b"\n")
    tracemalloc.start()
    with pytest.raises(FaultyInputError) as raised:
        check_input(path, SubmitRequest("", MODEL), told.append)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 3.5 * MAX_LINE_BYTES
    assert [line for line, _ in raised.value.first] == [1, 2, 3]
    assert sum(told) == path.stat().st_size


def test_numbers_are_in_the_pages() -> None:
    text = " ".join(section("### Pace and cost").split())
    for words in (
        f"the tokens of about {PLACES} requests",
        f"as in the last {'ten' if MAX_MANIFESTS == 10 else MAX_MANIFESTS} stored batches",
        f"of the model, or {ASSUMED_ANSWER_TOKENS:,}.",
        "at most a third of the limit",
        f"a fifth more than the densest of them{'' if MARGIN == 1.2 else '?'}",
        f"a minute, then twice as long each time up to {LONGEST_PAUSE_S / 60:.0f} minutes",
        f"{MAX_BATCHES} batches under way and {MAX_FILE_BYTES / 10**9:.0f} GB of files",
    ):
        assert words in text
    assert (PART_SHARE, FIRST_PAUSE_S) == (3, 60)
