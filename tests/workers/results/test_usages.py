"""What a line counts, and when that can be priced: whole lines, through parser and counts."""

import json
from typing import Any

import pytest

from receiver.outputs.manifest import Cost, Priced
from receiver.outputs.prices import parse_prices
from tests.workers.storing import NO_SCRATCH
from workers.results.cost import price_batch
from workers.results.parser import parse_result
from workers.results.result_counts import ResultCounts
from workers.results.rules import malformed
from workers.results.usages import ModalityCount, Usage, read_usage

DAY = "2026-11-28T10:00:00Z"
RATES = {"input": "1", "output": "10", "cached": "0.1"}
MODELS = {
    "flat": [RATES],
    "by-modality": [RATES | {"input": {"*": "1", "AUDIO": "3"}}],
    "other": [{"input": "2", "output": "20"}],
}
PRICES = parse_prices(json.dumps({"date": "2026-11-01", "models": MODELS}).encode())
TEXT: dict[str, Any] = {
    "content": {"parts": [{"text": "x"}], "role": "model"},
    "finishReason": "STOP",
}
CUT: dict[str, Any] = {"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}
THOUGHTS: dict[str, Any] = {
    "content": {"parts": [{"text": "x", "thought": True}]},
    "finishReason": "MAX_TOKENS",
}
REFUSED: dict[str, Any] = {"finishReason": "SAFETY", "index": 0}
UNCOUNTED = "1 line came without a full count of tokens"
CONTRADICTED = "1 line came with counts that contradict each other"
TIER = "1 line came from another service tier than that of batches"
UNREAD = "1 line could not be read"


def line(
    usage: Any = ..., *candidates: dict[str, Any], key: str | None = "k", **response: Any
) -> bytes:
    """A result line; `...` leaves the usage out."""
    body = ({"candidates": list(candidates)} if candidates else {}) | response
    body |= {} if usage is ... else {"usageMetadata": usage}
    return json.dumps({"response": body} | ({} if key is None else {"key": key})).encode()


def counts(
    prompt: Any = ..., candidates: Any = ..., total: Any = ..., thoughts: Any = ..., **more: Any
) -> Any:
    told = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": candidates,
        "totalTokenCount": total,
        "thoughtsTokenCount": thoughts,
    }
    return {name: count for name, count in told.items() if count is not ...} | more


def counted(*lines: bytes) -> ResultCounts:
    counts = ResultCounts(NO_SCRATCH)
    for one in lines:
        counts.add(parse_result(one, valid_utf8=False))
    return counts


def price(*lines: bytes, model: str = "flat", missing: int | None = 0) -> Cost | Priced:
    return price_batch(PRICES, model, DAY, counted(*lines).metered(), missing)


def details(**tokens: int) -> list[dict[str, Any]]:
    return [{"modality": name.upper(), "tokenCount": count} for name, count in tokens.items()]


WHOLE = counts(7, 9, 16)
KNOWN = {
    "all three": (line(WHOLE, TEXT), "97"),
    "no total": (line(counts(7, 9), TEXT), "97"),
    "total null": (line(counts(7, 9, None), TEXT), "97"),
    "counts as text": (line(counts("7", "9", "16"), TEXT), "97"),
    "thoughts": (line(counts(7, 9, 20, 4), TEXT), "137"),
    "thoughts null": (line(counts(7, 9, 16, None), TEXT), "97"),
    "tools in the total": (line(counts(7, 9, 19, toolUsePromptTokenCount=3), TEXT), "100"),
    "tools beside the total": (line(counts(7, 9, 16, toolUsePromptTokenCount=3), TEXT), "100"),
    "all cached": (line(counts(10, 9, 19, cachedContentTokenCount=10), TEXT), "91"),
    "cached of a kind in two entries": (
        line(
            counts(10, 9, 19, cachedContentTokenCount=10)
            | {"promptTokensDetails": details(text=4) + details(text=6)}
            | {"cacheTokensDetails": details(text=10)},
            TEXT,
        ),
        "91",
    ),
    "batch's tier": (line(WHOLE | {"serviceTier": "SERVICE_TIER_STANDARD"}, TEXT), "97"),
    "batch's tier in short": (line(WHOLE | {"serviceTier": "standard"}, TEXT), "97"),
    "the tier at its price": (line(WHOLE | {"serviceTier": "flex"}, TEXT), "97"),
    "batch's tier by name": (line(WHOLE | {"serviceTier": "SERVICE_TIER_BATCH"}, TEXT), "97"),
    "details leave out a part": (
        line(WHOLE | {"candidatesTokensDetails": details(image=5)}, TEXT),
        "97",
    ),
    "details of two kinds": (
        line(WHOLE | {"promptTokensDetails": details(text=5, image=2)}, TEXT),
        "97",
    ),
    "no key": (line(WHOLE, TEXT, key=None), "97"),
    "blocked prompt": (line(counts(13), promptFeedback={"blockReason": "OTHER"}), "13"),
    "blocked prompt with its total": (
        line(counts(13, total=13), promptFeedback={"blockReason": "OTHER"}),
        "13",
    ),
    "blocked answer with its total": (line(counts(13, total=13), REFUSED), "13"),
    "blocked answer of 0": (line(counts(13, 0), REFUSED), "13"),
    "cut in its thoughts": (line(counts(13, total=33, thoughts=20), CUT), "213"),
    "thoughts came alone": (line(counts(13, total=33, thoughts=20), THOUGHTS), "213"),
    "embedding": (line(tokenCount="5", embedding={"values": [0.1]}), "5"),
    "embedding that is metered": (line(counts(5), embedding={"values": [0.1]}), "5"),
    "lone surrogate": (line(WHOLE, TEXT, note="\ud800"), "97"),
    "error": (json.dumps({"error": {"code": 8, "message": "quota"}, "key": "k"}).encode(), "0"),
    "error without a key": (json.dumps({"error": {"code": 3}}).encode(), "0"),
    "status": (json.dumps({"status": {"code": 13}, "key": "k"}).encode(), "0"),
}
UNKNOWN = {
    "no usage": (line(..., TEXT), UNCOUNTED),
    "usage null": (line(None, TEXT), UNCOUNTED),
    "usage as list": (line([], TEXT), UNCOUNTED),
    "nothing counted": (line({}, TEXT), UNCOUNTED),
    "all zero": (line(counts(0, 0, 0), TEXT), UNCOUNTED),
    "no prompt": (line(counts(candidates=9), TEXT), UNCOUNTED),
    "no prompt but a total": (line(counts(candidates=9, total=16), TEXT), UNCOUNTED),
    "prompt null": (line(counts(None, 9, 16), TEXT), UNCOUNTED),
    "prompt of 0": (line(counts(0, 9, 9), TEXT), UNCOUNTED),
    "no output": (line(counts(7), TEXT), UNCOUNTED),
    "no output in the total": (line(counts(7, total=7), TEXT), UNCOUNTED),
    "output of 0": (line(counts(7, 0, 7), TEXT), UNCOUNTED),
    "total alone": (line(counts(total=16), TEXT), UNCOUNTED),
    "total knows of more": (line(counts(7, 9, 79), TEXT), UNCOUNTED),
    "total of less": (line(counts(7, 9, 15), TEXT), CONTRADICTED),
    "total of less, with tools": (
        line(counts(7, 9, 14, toolUsePromptTokenCount=3), TEXT),
        CONTRADICTED,
    ),
    "total of 0": (line(counts(7, 9, 0), TEXT), CONTRADICTED),
    "total without the thoughts": (line(counts(7, 9, 16, 4), TEXT), CONTRADICTED),
    "negative": (line(counts(-7, 9, 2), TEXT), UNCOUNTED),
    "negative thoughts": (line(counts(7, 9, thoughts=-4), TEXT), UNCOUNTED),
    "beyond int32": (line(counts(7, 2**31), TEXT), UNCOUNTED),
    "far beyond": (line(counts(10**400, 9), TEXT), UNCOUNTED),
    "fraction": (line(counts(7.5, 9), TEXT), UNCOUNTED),
    "float": (line(counts(7.0, 9), TEXT), UNCOUNTED),
    "words": (line(counts("many", 9), TEXT), UNCOUNTED),
    "words for a total": (line(counts(7, 9, "many"), TEXT), UNCOUNTED),
    "list for cached": (line(WHOLE | {"cachedContentTokenCount": []}, TEXT), UNCOUNTED),
    "true": (line(counts(7, True), TEXT), UNCOUNTED),
    "more cached than asked": (line(WHOLE | {"cachedContentTokenCount": 8}, TEXT), CONTRADICTED),
    "details say more": (
        line(WHOLE | {"promptTokensDetails": details(text=5, image=3)}, TEXT),
        CONTRADICTED,
    ),
    "output's details say more": (
        line(WHOLE | {"candidatesTokensDetails": details(text=10)}, TEXT),
        CONTRADICTED,
    ),
    "details of cached alone": (
        line(WHOLE | {"cacheTokensDetails": details(text=3)}, TEXT),
        CONTRADICTED,
    ),
    "details of tools alone": (
        line(WHOLE | {"toolUsePromptTokensDetails": details(text=3)}, TEXT),
        CONTRADICTED,
    ),
    "cached of a kind that was not asked, beside one in two entries": (
        line(
            counts(10, 9, 19, cachedContentTokenCount=1)
            | {"promptTokensDetails": details(text=4) + details(text=6)}
            | {"cacheTokensDetails": details(image=1)},
            TEXT,
        ),
        CONTRADICTED,
    ),
    "cached of a kind that was not asked": (
        line(
            WHOLE
            | {"cachedContentTokenCount": 3, "promptTokensDetails": details(text=7)}
            | {"cacheTokensDetails": details(audio=3)},
            TEXT,
        ),
        CONTRADICTED,
    ),
    "priority": (line(WHOLE | {"serviceTier": "SERVICE_TIER_PRIORITY"}, TEXT), TIER),
    "tier of no name": (line(WHOLE | {"serviceTier": 3}, TEXT), TIER),
    "blocked prompt without usage": (line(..., promptFeedback={"blockReason": "OTHER"}), UNCOUNTED),
    "blocked answer, output not told": (line(counts(13), REFUSED), UNCOUNTED),
    "half an answer, then blocked": (
        line(counts(13, total=13), TEXT | {"finishReason": "SAFETY"}),
        UNCOUNTED,
    ),
    "cut, output not told": (line(counts(13), CUT), UNCOUNTED),
    "cut without usage": (line(..., CUT), UNCOUNTED),
    "empty without usage": (line(..., {"finishReason": "STOP"}), UNCOUNTED),
    "no key, no usage": (line(..., TEXT, key=None), UNCOUNTED),
    "embedding of no count": (line(embedding={"values": [0.1]}), UNCOUNTED),
    "embedding of 0": (line(tokenCount="0", embedding={"values": [0.1]}), UNCOUNTED),
    "error beside an answer": (
        json.dumps(
            {"error": {"code": 4}, "response": {"candidates": [TEXT], "usageMetadata": WHOLE}}
        ).encode(),
        UNCOUNTED,
    ),
    "no JSON": (b"<html>", UNREAD),
    "cut line": (line(WHOLE, TEXT)[:-9], UNREAD),
    "no known shape": (b'{"key": "k"}', UNREAD),
    "no known shape, but counts": (line(WHOLE, candidates={}), UNREAD),
    "no known part, but counts": (line(WHOLE, {"content": {"parts": ["x"]}}), UNREAD),
}


@pytest.mark.parametrize("name", KNOWN)
def test_told_counts_have_a_price(name: str) -> None:
    source, millionths = KNOWN[name]
    cost = price(source)
    assert isinstance(cost, Cost), cost
    assert float(cost.amount) * 1_000_000 == pytest.approx(float(millionths))


@pytest.mark.parametrize("name", UNKNOWN)
def test_untold_counts_make_the_cost_unknown(name: str) -> None:
    source, why = UNKNOWN[name]
    assert price(source) == Priced(0, 1, why)
    assert price(line(WHOLE, TEXT, key="before"), source, line(WHOLE, TEXT, key="after")) == Priced(
        2, 3, why
    )


def test_line_that_is_too_long_is_not_priced() -> None:
    counts = counted(line(WHOLE, TEXT))
    counts.add(malformed("oversize", "a line of 100 MB is too long to be read"))
    assert price_batch(PRICES, "flat", DAY, counts.metered(), 0) == Priced(1, 2, UNREAD)


@pytest.mark.parametrize(
    "second", [line(WHOLE, TEXT), line(counts(7, 9), TEXT | {"finishReason": "MAX_TOKENS"})]
)
def test_second_line_of_a_key_may_be_billed_or_not(second: bytes) -> None:
    assert price(line(WHOLE, TEXT), second) == Priced(
        1, 2, "1 line repeated the key of another line"
    )
    assert counted(line(WHOLE, TEXT), second).usage()["prompt"] == 14


def test_second_line_that_failed_costs_nothing() -> None:
    assert isinstance(
        price(line(WHOLE, TEXT), json.dumps({"error": {"code": 3}, "key": "k"}).encode()), Cost
    )


def test_requests_without_a_result_may_have_been_billed() -> None:
    assert price(line(WHOLE, TEXT), missing=2) == Priced(1, 3, "2 requests have no result")
    assert price(missing=1) == Priced(0, 1, "1 request has no result")


def test_batch_of_nothing_costs_nothing_only_if_that_is_known() -> None:
    assert isinstance(price(missing=0), Cost)
    assert price(missing=None) == Priced(0, 0, "how many requests there were is not known")
    assert isinstance(price(line(WHOLE, TEXT), missing=None), Cost)


def test_every_reason_is_said() -> None:
    sources = [line(..., TEXT, key="a"), line(..., TEXT, key="b"), b"x", line(WHOLE, TEXT)]
    assert price(*sources, model="nobody", missing=3) == Priced(
        0,
        7,
        "2 lines came without a full count of tokens; 1 line could not be read; "
        "the price list has no price of nobody on 2026-11-28; 3 requests have no result",
    )


def test_counts_of_a_line_in_doubt_are_reported_all_the_same() -> None:
    usage = counted(line(counts(7, 9, 99) | {"serviceTier": "flex"}, TEXT)).usage()
    assert (usage["prompt"], usage["candidates"], usage["total"]) == (7, 9, 99)


# Which model's price it is.


def named(model: Any, key: str = "k") -> bytes:
    return line(WHOLE, TEXT, key=key, modelVersion=model)


@pytest.mark.parametrize(
    ("version", "amount"), [("flat", "0.000097"), ("other", "0.000194"), (None, "0.000097")]
)
def test_price_is_that_of_the_model_that_answered(version: str | None, amount: str) -> None:
    cost = price(named(version))
    assert isinstance(cost, Cost)
    assert cost.amount == amount


def test_alias_is_priced_by_what_answered() -> None:
    assert isinstance(price(named("flat"), model="models/gemini-flash-latest"), Cost)
    assert price(line(WHOLE, TEXT), model="gemini-flash-latest") == Priced(
        0, 1, "the price list has no price of gemini-flash-latest on 2026-11-28"
    )


def test_models_of_one_batch_are_summed_each_at_its_price() -> None:
    cost = price(named("flat", "a"), named("other", "b"), named("flat", "c"), line(WHOLE, TEXT))
    assert isinstance(cost, Cost)
    assert cost.amount == "0.000485"


def test_unknown_model_among_known_ones_is_named() -> None:
    assert price(named("flat", "a"), named("newer", "b"), named("flat", "c")) == Priced(
        2, 3, "the price list has no price of newer on 2026-11-28"
    )


@pytest.mark.parametrize("version", ["\ud800", "x" * 101, "two\nlines", ""])
def test_model_of_no_name_has_no_price(version: str) -> None:
    found = price(named(version), model="flat")
    assert isinstance(found, Cost) is (version == "")
    if isinstance(found, Priced):
        assert found.why == "the price list has no price of further models on 2026-11-28"


def test_many_models_take_bounded_memory() -> None:
    metered = counted(*(named(f"m{number}", str(number)) for number in range(2000))).metered()
    assert len(metered.models) == 17
    assert sum(usage.lines for usage in metered.models.values()) == 2000


def test_line_without_any_model_is_not_priced() -> None:
    assert price(line(WHOLE, TEXT), model="") == Priced(0, 1, "1 line came without a model")


# Of responses that were decoded because something in them is odd: their numbers are text.


def test_decoded_usage_is_read_whole() -> None:
    details = [
        {"modality": "TEXT", "tokenCount": "4"},
        {"modality": "AUDIO"},
        "odd",
        {"modality": 7, "tokenCount": "6"},
    ]
    raw = {
        "promptTokenCount": "10",
        "cachedContentTokenCount": "1",
        "candidatesTokenCount": "2",
        "thoughtsTokenCount": "3",
        "toolUsePromptTokenCount": "4",
        "totalTokenCount": "15",
        "promptTokensDetails": details,
        "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": "1"}],
        "candidatesTokensDetails": [],
        "toolUsePromptTokensDetails": "odd",
        "serviceTier": "standard",
    }
    kinds = [ModalityCount("TEXT", 4), ModalityCount("AUDIO", 0)]
    assert read_usage({"usageMetadata": raw}, holds_answer=True) == Usage(
        10,
        1,
        2,
        3,
        4,
        15,
        [*kinds, ModalityCount(token_count=6)],
        [ModalityCount("TEXT", 1)],
        [],
        service_tier="standard",
    )


@pytest.mark.parametrize(
    ("tokens", "usage"),
    [
        ("5", Usage(5, candidates=0, total=5)),
        ("2147483647", Usage(2**31 - 1, candidates=0, total=2**31 - 1)),
        ("2147483648", None),
        ("0", None),
        (5, None),
        (None, None),
    ],
)
def test_decoded_embedding_has_its_tokens(tokens: object, usage: Usage | None) -> None:
    assert read_usage({"tokenCount": tokens}, holds_answer=True) == usage


# Where the price hangs on the kind of token.


def test_lack_of_one_line_does_not_make_up_for_that_of_another() -> None:
    short = line(counts(10, 9, 19, promptTokensDetails=details(text=8)), TEXT, key="a")
    cached = counts(10, 9, 19, cachedContentTokenCount=5, promptTokensDetails=details(text=10))
    other = line(cached | {"cacheTokensDetails": details(text=3)}, TEXT, key="b")
    found = price(short, other, model="by-modality")
    assert found == Priced(0, 2, "the price list does not price every kind of token of by-modality")


def test_known_kinds_are_priced() -> None:
    cost = price(
        line(WHOLE | {"promptTokensDetails": details(text=5, audio=2)}, TEXT), model="by-modality"
    )
    assert isinstance(cost, Cost)
    assert cost.amount == "0.000101"
