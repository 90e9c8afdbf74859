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


def test_audio_of_tools_costs_more() -> None:
    usage = used(tool_use_prompt=MILLION, tool_use_prompt_details=told(audio=MILLION))
    assert parts(price("gemini-2.5-flash", usage)) == ("0.5", "0.5", "0", "0")


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


def test_cached_part_of_long_prompts_costs_more() -> None:
    long = used(prompt=LONG_PROMPT_TOKENS + 100_000, cached=200_000, candidates=1)
    usual = used(prompt=150_000, cached=100_000, candidates=1)
    found = parts(price("gemini-2.5-pro", long, usual))
    # 0.2 at 0.25 and 0.1 at 0.125; beside them 0.1 at 1.25 and 0.05 at 0.625
    assert (found[1], found[2]) == ("0.15625", "0.0625")


def test_kinds_beyond_those_told_apart_are_unknown() -> None:
    many = used(
        prompt=17, prompt_details=[ModalityCount(f"KIND{number}", 1) for number in range(17)]
    )
    cached = used(
        prompt=1,
        cached=1,
        prompt_details=[ModalityCount("KIND16", 1)],
        cached_details=[ModalityCount("KIND16", 1)],
    )
    why = "the price list does not price every kind of token of gemini-2.5-flash"
    assert price("gemini-2.5-flash", many, cached) == Priced(0, 2, why)


def test_answers_of_all_priced_models_are_counted() -> None:
    counts = ResultCounts(NO_SCRATCH)
    for number, model in enumerate(["gemini-3.5-flash", "gemini-3.8-flash", "gemini-9"]):
        counts.add(Result(str(number), Outcome.OK, usage=used(1, 1), model=model))
    assert price_batch(default_prices(), "gemini-9", DAY, counts.metered(), 0) == Priced(
        2, 3, "the price list has no price of gemini-9 on 2026-10-07"
    )


def test_many_digits_are_not_rounded() -> None:
    rate = "0." + "3" * 30
    prices = parse_prices(
        json.dumps({"date": "2026-01-01", "models": {"m": [{"input": rate}]}}).encode()
    )
    counts = ResultCounts(NO_SCRATCH)
    for number in range(2):
        counts.add(Result(str(number), Outcome.OK, usage=used(prompt=2**31 - 1, total=2**31 - 1)))
    cost = price_batch(prices, "m", DAY, counts.metered(), 0)
    assert isinstance(cost, Cost)
    expected = str((2**32 - 2) * int("3" * 30)).rstrip("0")
    assert cost.amount.replace(".", "").lstrip("0") == expected


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


def test_batch_without_requests_costs_nothing() -> None:
    assert parts(price("gemini-3.5-flash")) == ("0", "0", "0", "0")


def test_one_token_of_a_kind_has_a_price() -> None:
    usage = used(prompt=3, prompt_details=told(text=2, audio=1))
    assert parts(price("gemini-2.5-flash", usage))[0] == "0.0000008"


@pytest.mark.parametrize(
    ("model", "usage", "why"),
    [
        ("models/gemini-9", used(prompt=1), "has no price of gemini-9 on 2026-10-07"),
        (
            "models/gemini-2.5-flash",
            used(prompt=2),
            "does not price every kind of token of gemini-2.5-flash",
        ),
        (
            "gemini-3.5-flash-lite",
            used(prompt=1, cached=1, cached_details=told(text=1)),
            "does not price every kind of token of gemini-3.5-flash-lite",
        ),
    ],
)
def test_what_the_list_lacks_is_named(model: str, usage: Usage, why: str) -> None:
    assert price(model, usage) == Priced(0, 1, f"the price list {why}")


@pytest.mark.parametrize("lacking", ["usual", "long"])
def test_half_a_price_is_none(lacking: str) -> None:
    """Where cached tokens have a price in prompts of one length only."""
    rates = {"input": "1", "output": "1"}
    usual, long = (
        rates | ({} if lacking == which else {"cached": "1"}) for which in ("usual", "long")
    )
    listed = {"date": "2026-01-01", "models": {"m": [usual | {"long": long}]}}
    counts = ResultCounts(NO_SCRATCH)
    for number, prompt in enumerate((10, LONG_PROMPT_TOKENS + 1)):
        counts.add(Result(str(number), Outcome.OK, usage=used(prompt, 1, cached=1)))
    prices = parse_prices(json.dumps(listed).encode())
    assert isinstance(price_batch(prices, "m", DAY, counts.metered(), 0), Priced)


def test_lines_without_a_day_are_counted() -> None:
    assert price("gemini-3.5-flash", used(prompt=1), used(prompt=2), moment="") == Priced(
        0, 2, "2 lines came without a day"
    )


@pytest.mark.parametrize(
    ("usages", "missing", "expected"),
    [
        ([], 1, Priced(0, 1, "1 request has no result")),
        ([], 2, Priced(0, 2, "2 requests have no result")),
        ([], None, Priced(0, 0, "how many requests there were is not known")),
        ([used(prompt=1)], 2, Priced(1, 3, "2 requests have no result")),
    ],
)
def test_requests_without_a_result_are_said(
    usages: list[Usage], missing: int | None, expected: Priced
) -> None:
    counts = ResultCounts(NO_SCRATCH)
    for number, usage in enumerate(usages):
        counts.add(Result(str(number), Outcome.OK, usage=usage))
    metered = counts.metered()
    assert price_batch(default_prices(), "gemini-3.5-flash", DAY, metered, missing) == expected


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
