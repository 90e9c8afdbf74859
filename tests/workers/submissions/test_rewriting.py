import json
from typing import Any

import pytest

from workers.submissions.rewriting import NOTE, explain, widen


def line(config: object = None, **members: object) -> bytes:
    request: dict[str, Any] = {"contents": [{"parts": [{"text": "1.50"}]}], **members}
    if config is not None:
        request["generationConfig"] = config
    return json.dumps({"key": "k1", "request": request}).encode() + b"\n"


def config_of(changed: bytes | None, name: str = "generationConfig") -> Any:
    assert changed is not None
    return json.loads(changed)["request"][name]


@pytest.mark.parametrize(
    ("before", "after"), [(100, 200), (40_000, 65_536), (65_535, 65_536), (1, 2)]
)
def test_output_budget_is_doubled_up_to_the_limit(before: int, after: int) -> None:
    changed = widen(line({"maxOutputTokens": before, "temperature": 0}), 65_536)
    assert config_of(changed) == {"maxOutputTokens": after, "temperature": 0}


def test_names_in_snake_case_stay_so() -> None:
    asked = line(generation_config={"max_output_tokens": 10})
    assert config_of(widen(asked, 99), "generation_config") == {"max_output_tokens": 20}
    thinking = {"thinking_config": {"thinking_budget": 4096}}
    asked = line(generation_config=thinking)
    found = config_of(widen(asked, 99), "generation_config")
    assert found == {"thinking_config": {"thinking_budget": 2048}}


@pytest.mark.parametrize("output", [{}, {"maxOutputTokens": 65_536}, {"maxOutputTokens": 70_000}])
def test_less_thinking_where_the_output_cannot_grow(output: dict[str, int]) -> None:
    asked = line(output | {"thinkingConfig": {"thinkingBudget": 2048, "includeThoughts": True}})
    thinking = config_of(widen(asked, 65_536))["thinkingConfig"]
    assert thinking == {"thinkingBudget": 1024, "includeThoughts": True}


@pytest.mark.parametrize(
    "config",
    [
        None,
        {},
        {"temperature": 1},
        {"maxOutputTokens": 65_536},
        {"maxOutputTokens": "100"},
        {"maxOutputTokens": 0},
        {"thinkingConfig": {}},
        {"thinkingConfig": {"thinkingBudget": -1}},
        {"thinkingConfig": {"thinkingBudget": 0}},
        {"thinkingConfig": {"thinkingBudget": 1023}},
        {"thinkingConfig": {"thinkingLevel": "high"}},
        ["maxOutputTokens", 5],
    ],
    ids=str,
)
def test_nothing_changes_where_nothing_can(config: object) -> None:
    assert widen(line(config), 65_536) is None


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"key":"k"}', b'{"request":1}', b"\xff"])
def test_what_is_no_request_is_left_alone(data: bytes) -> None:
    assert widen(data, 10) is None
    assert explain(data, "no") == data


def test_all_other_bytes_stay() -> None:
    """Numbers keep their digits, escapes and white space too."""
    odd = rb'[{"n":1.50,"big":12345678901234567890123,"e":1E400, "s":"\ud83d\ude00\u00e4"}]'
    asked = b'{"request":{"contents":%b,"generationConfig":{"maxOutputTokens":5}},"key":"k"}' % odd
    assert widen(asked, 100) == asked.replace(b":5}", b":10}")


def test_model_is_told_in_a_turn_of_its_own() -> None:
    told = json.loads(explain(line(), 'it breaks the schema at $.a: "x"'))
    first, last = told["request"]["contents"]
    assert first == {"parts": [{"text": "1.50"}]}
    assert last["role"] == "user"
    assert last["parts"][0]["text"].startswith(f'{NOTE}it breaks the schema at $.a: "x". Answer')
    assert told["key"] == "k1"


def test_second_note_takes_the_place_of_the_first() -> None:
    twice = explain(explain(line(), "first"), "second")
    assert twice == explain(line(), "second")
    assert len(json.loads(twice)["request"]["contents"]) == 2


def test_newline_stays() -> None:
    assert explain(line(), "no").endswith(b"\n")
    assert not explain(line().strip(), "no").endswith(b"\n")
