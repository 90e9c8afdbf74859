import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.outputs.manifest import Cost, Priced
from receiver.outputs.outcomes import Outcome
from receiver.outputs.prices import LONG_PROMPT_TOKENS, default_prices, parse_prices
from receiver.storage import LocalStorage
from tests import nasty
from tests.workers.storing import NO_SCRATCH, store
from workers.results.cost import price_batch
from workers.results.result_counts import ResultCounts
from workers.results.rules import Result
from workers.results.usages import ModalityCount, Usage

MILLION = 1_000_000
DAY = "2026-10-07T10:00:00Z"


def told(**counts: int) -> list[ModalityCount]:
    return [ModalityCount(name.upper(), count) for name, count in counts.items()]


def used(prompt: int = 0, candidates: int = 0, **more: Any) -> Usage:
    """Counts that were all told."""
    return Usage(prompt=prompt, candidates=candidates, **more)


def price(model: str, *usages: Usage | None, moment: str | None = DAY) -> Cost | Priced:
    counts = ResultCounts(NO_SCRATCH)
    for number, usage in enumerate(usages):
        counts.add(Result(str(number), Outcome.OK, usage=usage))
    return price_batch(default_prices(), model, moment, counts.metered(), 0)


def parts(cost: Cost | Priced) -> tuple[str, str, str, str]:
    assert isinstance(cost, Cost)
    assert (cost.currency, cost.prices) == ("USD", default_prices().date)
    return cost.amount, cost.input, cost.cached, cost.output


@pytest.mark.parametrize(
    ("model", "usage", "expected"),
    [
        ("models/gemini-3.5-flash", used(prompt=MILLION), ("0.75", "0.75", "0", "0")),
        ("gemini-3.5-flash", used(candidates=MILLION), ("4.5", "0", "0", "4.5")),
        ("gemini-3.5-flash", used(thoughts=MILLION), ("4.5", "0", "0", "4.5")),
        ("gemini-3.5-flash", used(tool_use_prompt=MILLION), ("0.75", "0.75", "0", "0")),
        ("gemini-3.8-flash", used(prompt=MILLION, cached=MILLION), ("0.0375", "0", "0.0375", "0")),
        (
            "gemini-3.8-flash",
            used(prompt=MILLION, cached=MILLION // 2),
            ("0.20625", "0.1875", "0.01875", "0"),
        ),
        ("gemini-embedding-001", used(prompt=MILLION, total=MILLION), ("0.075", "0.075", "0", "0")),
        ("gemini-3.5-flash", used(prompt=1), ("0.00000075", "0.00000075", "0", "0")),
        ("gemini-3.5-flash", used(), ("0", "0", "0", "0")),
    ],
)
def test_tokens_cost_what_gemini_bills(model: str, usage: Usage, expected: tuple[str, ...]) -> None:
    assert parts(price(model, usage)) == expected


def test_audio_costs_more() -> None:
    usage = used(
        prompt=3 * MILLION, prompt_details=told(text=MILLION, audio=MILLION, image=MILLION)
    )
    assert parts(price("gemini-2.5-flash", usage))[0] == "0.8"  # 0.15 + 0.50 + 0.15


def test_cached_audio_is_no_fresh_audio() -> None:
    usage = used(
        prompt=MILLION,
        cached=MILLION,
        prompt_details=told(audio=MILLION),
        cached_details=told(audio=MILLION),
    )
    assert parts(price("gemini-2.5-flash", usage)) == ("0.1", "0", "0.1", "0")


def test_images_in_answers_cost_more() -> None:
    usage = used(
        candidates=2 * MILLION,
        thoughts=MILLION,
        candidates_details=told(text=MILLION, image=MILLION),
    )
    assert (
        parts(price("gemini-3.1-flash-image-preview", usage))[3] == "33"
    )  # 1.50 + 30.00, thoughts 1.50


def test_modality_without_a_price_is_unknown() -> None:
    text = used(
        MILLION, MILLION, prompt_details=told(text=MILLION), candidates_details=told(text=MILLION)
    )
    assert parts(price("gemini-2.5-flash-image", text))[0] == "1.4"
    image = used(
        MILLION, MILLION, prompt_details=told(text=MILLION), candidates_details=told(image=MILLION)
    )
    assert isinstance(price("gemini-2.5-flash-image", image), Priced)


@pytest.mark.parametrize("above", [0, 1])
def test_long_prompts_cost_more(above: int) -> None:
    long = used(prompt=LONG_PROMPT_TOKENS + above, candidates=100_000)
    amounts = parts(price("gemini-2.5-pro", long, used(prompt=100_000, candidates=100_000)))
    assert amounts[3] == ("1.25" if above else "1")
    assert amounts[1] == ("0.31250125" if above else "0.1875")


def test_day_decides_the_price() -> None:
    usage = used(prompt=MILLION)
    assert parts(price("gemini-3.8-flash", usage, moment="2026-12-31T23:59:59.999Z"))[0] == "0.375"
    assert parts(price("gemini-3.8-flash", usage, moment="2027-01-01T00:00:00Z"))[0] == "0.75"


@pytest.mark.parametrize(
    ("model", "usage"),
    [
        ("gemini-9-flash", used(prompt=1)),
        ("", used(prompt=1)),
        ("gemini-3.5-flash", None),  # an answer without any count
        ("gemini-2.5-flash", used(prompt=2)),  # prices differ, and nothing says what the tokens are
        ("gemini-2.5-flash", used(prompt=2, prompt_details=told(text=1))),
        ("gemini-2.5-flash", used(prompt=2, prompt_details=told(text=1, smell=1))),
        (
            "gemini-2.5-flash",
            used(prompt=2, cached=1, prompt_details=told(text=2), cached_details=told(audio=1)),
        ),
        ("gemini-3.5-flash", used(prompt=1, cached=2)),
        ("gemini-3.5-flash-lite", used(prompt=1, cached=1)),  # this price is not known
        ("gemini-embedding-001", used(candidates=1)),
    ],
)
def test_what_is_not_known_is_said(model: str, usage: Usage | None) -> None:
    assert isinstance(price(model, used(), usage), Priced)


@pytest.mark.parametrize("moment", [None, "", "soon", "2026-13-01T00:00:00Z", "9"])
def test_batch_without_a_day_is_unknown(moment: str | None) -> None:
    assert price("gemini-3.5-flash", used(prompt=1), moment=moment) == Priced(
        0, 1, "1 line came without a day"
    )


@given(st.lists(st.tuples(*[st.integers(0, 2**31 - 1)] * 3), min_size=1, max_size=5))
def test_sum_is_exact(usages: list[tuple[int, int, int]]) -> None:
    counts = ResultCounts(NO_SCRATCH)
    for number, (prompt, candidates, thoughts) in enumerate(usages):
        usage = used(prompt, candidates, thoughts=thoughts)
        counts.add(Result(str(number), Outcome.OK, usage=usage))
    model = {"input": "0.333333", "output": "7", "long": {"input": "0.333333", "output": "7"}}
    prices = parse_prices(json.dumps({"date": "2026-01-01", "models": {"m": [model]}}).encode())
    cost = price_batch(prices, "m", DAY, counts.metered(), 0)
    assert isinstance(cost, Cost)
    whole, _, fraction = cost.amount.partition(".")
    expected = sum(
        333_333 * prompt + 7_000_000 * (candidates + thoughts)
        for prompt, candidates, thoughts in usages
    )
    assert int(whole + fraction.ljust(12, "0")) == expected


def stored(folder: Path, usage: dict[str, int], model: str, requests: int = 1) -> Any:
    storage = LocalStorage(folder)
    response = json.loads(nasty.answer("k"))["response"] | {
        "usageMetadata": usage,
        "modelVersion": model,
    }
    alias = "models/gemini-flash-latest"
    store(
        storage,
        json.dumps({"response": response, "key": "k"}).encode() + b"\n",
        requests,
        model=alias,
    )
    data = storage.read("b1/_manifest.json")
    assert data is not None
    return json.loads(data)


def test_manifest_says_the_cost(tmp_path: Path) -> None:
    manifest = stored(
        tmp_path, {"promptTokenCount": 7, "candidatesTokenCount": 9}, "gemini-3.5-flash"
    )
    assert set(manifest["cost"]) == {"currency", "amount", "prices", "input", "cached", "output"}
    assert "priced" not in manifest


def test_manifest_says_why_the_cost_is_unknown(tmp_path: Path) -> None:
    manifest = stored(tmp_path, {"promptTokenCount": 7}, "gemini-3.5-flash", requests=2)
    assert manifest["cost"] == "unknown"
    why = "1 line came without a full count of tokens; 1 request has no result"
    assert manifest["priced"] == {"answers": 0, "of": 2, "why": why}
