import json
import subprocess
import sys
from typing import Any

import pytest

from receiver.answers.answer import Candidate, read_answer
from receiver.answers.large_lines import MAX_VALUES, find_excess, find_wide_text, shorten
from receiver.errors import BrokenAnswerError
from receiver.outputs.outcomes import Outcome
from workers.forms.structured import StructuredAnswers
from workers.results.parser import parse_result

MIB = 1024 * 1024
LIMIT_KIB = 256 * 1024
PARSE = """
import sys
from workers.results.parser import parse_result
from receiver.answers.answer import Candidate, read_answer
from workers.forms.structured import BrokenAnswerError, StructuredAnswers
line = eval(sys.argv[1])
read_answer(line)
print(parse_result(line, valid_utf8=False).outcome)
print(next(row for row in open("/proc/self/status") if row.startswith("VmHWM")).split()[1])
"""
PARTS = '[{"inline_data":{"data":"%s"}}]'
PICTURE = f"""b'{{"response":{{"candidates":[{{"content":{{"parts":{PARTS}}}}}]}},"key":"k"}}' % (b'A' * 60_000_000)"""


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        (PICTURE, "ok"),
        ("b'[' + b'[],' * 20_000_000", "malformed"),
        ("b'{' + b'\"' * 60_000_000", "malformed"),
        (
            'b\'{"key":"k","response":{"candidates":[\' + b\'{},\' * 20_000_000 + b\'{}]}}\'',
            "malformed",
        ),
        ("b'{\"key\":\"' + b'x' * 60_000_000", "malformed"),
        ('\'{"key":"k","error":"\U0001f600\'.encode() + b\'x\' * 60_000_000 + b\'"}\'', "error"),
    ],
    ids=["picture", "lists", "quotes", "candidates", "cut", "wide text"],
)
def test_sixty_megabytes_are_judged_in_bounds(line: str, outcome: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PARSE, line], capture_output=True, check=True, text=True, timeout=120
    )
    found, peak_kib = done.stdout.split()
    assert found == outcome
    assert int(peak_kib) < LIMIT_KIB


CALL = '{"custom_id":"k","response":{"body":{"choices":[{"message":{"tool_calls":[{"function":{"arguments":"'


def test_arguments_in_text_are_decoded_in_bounds() -> None:
    """Values inside a text are none of the line."""
    line = f"b'{CALL}[' + b'[],' * 20_000_000 + b'[]]\"}}}}]}}}}]}}}}}}'"
    test_sixty_megabytes_are_judged_in_bounds(line, "ok")


def large(**response: Any) -> bytes:
    return json.dumps({"response": response, "key": "k", "note": "n" * MIB}).encode()


def candidate(text: str, **more: Any) -> list[dict[str, Any]]:
    return [{"content": {"parts": [{"text": text}]}} | more]


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        ({"candidates": candidate("x" * MIB, finish_reason="STOP")}, Outcome.OK),
        ({"candidates": candidate("x" * MIB, finishReason="SAFETY")}, Outcome.BLOCKED),
        ({"candidates": candidate("\U0001f600\n" * 99_999, finishReason="OTHER")}, Outcome.ERROR),
        ({"candidates": candidate("", finishReason="STOP")}, Outcome.EMPTY),
        ({"candidates": candidate("\ud800" * 99_999, finishReason="STOP")}, Outcome.OK),
    ],
)
def test_large_line_is_judged_as_a_small_one(response: dict[str, Any], outcome: Outcome) -> None:
    result = parse_result(large(**response))
    assert (result.key, result.outcome) == ("k", outcome)


def test_key_is_never_cut() -> None:
    result = parse_result(json.dumps({"error": {"code": 3}, "key": "k" * 2 * MIB}).encode())
    assert (result.key, result.outcome, result.code) == (None, Outcome.MALFORMED, "size")


def test_shortened_line_is_as_good() -> None:
    row: dict[str, Any] = {"a": '\\"' * MIB, "b": "ä€\U0001f600" * 99_999, "c": [1, "x"]}
    for escaped in (False, True):
        short = shorten(json.dumps(row, ensure_ascii=escaped).encode())
        assert short is not None
        assert len(short) < MIB
        found = json.loads(short)
        assert (found["c"], row["a"].startswith(found["a"])) == ([1, "x"], True)


def test_commas_in_a_text_are_no_values() -> None:
    assert find_excess(json.dumps({"text": "[{," * MAX_VALUES}).encode()) is None
    assert find_excess(json.dumps(["a"] * (MAX_VALUES + 9)).encode()) is not None


def test_wide_text_is_left_out_of_forms() -> None:
    text = "a" * 9 * MIB
    assert find_wide_text(json.dumps({"text": text}).encode()) is None
    data = json.dumps({"response": {"candidates": candidate(text + "\U0001f600")}}).encode()
    assert "is not decoded" in str(read_answer(data).left_out(["text"]))
    plain = json.dumps({"response": {"candidates": candidate(text)}}).encode()
    assert (read_answer(plain).text, read_answer(plain).left_out(["text"])) == (
        None,
        f"in the raw line alone: 1 text of {len(text)} characters",
    )


@pytest.mark.parametrize(
    "part",
    [
        {"functionCall": {"name": "f", "args": {"x": 1.5, "y": ["a" * 9 * MIB]}}},
        {"executable_code": {"code": "a" * 9 * MIB}},
        {"codeExecutionResult": {"output": "a" * 9 * MIB}},
    ],
)
def test_large_calls_and_code_are_left_out_of_forms(part: dict[str, Any]) -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    content = {"parts": [{"text": "x"}, part, picture]}
    answer = read_answer(json.dumps({"response": {"candidates": [{"content": content}]}}).encode())
    assert answer.candidates == [Candidate(media=(picture["inlineData"],))]
    assert "1 text of 94" in str(answer.left_out(["text", "json", "media", "table"]))


def test_answer_of_too_many_values_has_no_json_form() -> None:
    text = json.dumps([[]] * (MAX_VALUES + 9))
    with pytest.raises(BrokenAnswerError, match=f"with over {MAX_VALUES} values is not read"):
        StructuredAnswers(None).parse(text)
