import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.answers.answer import Answer, Candidate, plain_text, read_answer
from receiver.outputs.forms import FORMS, Form
from tests import nasty
from tests.workers.forms.reading import inline, line, thought
from workers.forms.structured import encode_calls


def responding(*candidates: Any, **more: Any) -> bytes:
    return json.dumps({"response": {"candidates": candidates, **more}, "key": "k"}).encode()


def candidate(*parts: Any, reason: str = "STOP") -> dict[str, Any]:
    return {"content": {"parts": parts}, "finishReason": reason}


def one(
    text: str | None = None, thoughts: str | None = None, number: int = 0, **more: Any
) -> Candidate:
    return Candidate(number, None, text, thoughts, **more)


def shown(data: bytes) -> list[Candidate]:
    """What is shown of a line, the candidate that decides first; their reasons to finish aside."""
    answer = read_answer(data)
    found = [] if answer.chosen is None else [answer.chosen, *answer.further]
    return [candidate._replace(finish_reason=None) for candidate in found]


CALL: dict[str, Any] = {"functionCall": {"name": "f", "args": {"n": 1}}}


@pytest.mark.parametrize(
    ("data", "candidates"),
    [
        (line("k", "a", "b"), [one("ab")]),
        (line("k", thought("hm"), "a", thought("m")), [one("a", "hmm")]),
        (line("k", thought("hm"), reason="MAX_TOKENS"), [one(None, "hm")]),
        (line("k", "half", reason="MAX_TOKENS"), [one("half")]),
        (line("k", "bad", reason="SAFETY"), []),
        (line("k", "bad", reason="OTHER"), []),
        (line("k", thought("bad"), reason="SAFETY"), []),
        (
            responding(candidate({"text": "bad"}, reason="SAFETY"), candidate({"text": "good"})),
            [one("good", number=1)],
        ),
        (
            responding(candidate({"text": "one"}), candidate({"text": "two"})),
            [one("one"), one("two", number=1)],
        ),
        (responding(candidate({"text": "one"}), candidate()), [one("one")]),
        (
            responding(
                candidate({"text": "cut"}, reason="MAX_TOKENS"), candidate({"text": "whole"})
            ),
            [one("whole", number=1), one("cut")],
        ),
        (responding(None, candidate({"text": "a"})), [one("a", number=1)]),
        (responding(candidate(CALL)), [one(calls=(CALL["functionCall"],))]),
        (
            responding(
                candidate(
                    {"executable_code": {"language": "PYTHON", "code": "print(6*7)"}},
                    {"code_execution_result": {"outcome": "OUTCOME_OK", "output": "42"}},
                    {"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "no"}},
                )
            ),
            [one(code="print(6*7)", code_output="42\nOUTCOME_FAILED: no")],
        ),
        (responding(candidate({"text": "\ud800"})), [one("\ud800")]),
        (responding(candidate({"text": 7}, "x", None, {"text": "a"})), [one("a")]),
        (responding(embedding={"values": [1, 0.5]}), []),
        (responding(candidate({"text": "a"}), n=float("nan")), [one("a")]),
        (b"\xef\xbb\xbf" + line("k", "a"), [one("a")]),
        (b"[" * 100_000, []),
        (b"\xff", []),
        (b"", []),
        (b'{"response":null}', []),
        (nasty.failure("k", 8), []),
    ],
)
def test_answer_is_told_from_its_wrapping(data: bytes, candidates: list[Candidate]) -> None:
    assert shown(data) == candidates


def test_embedding_is_read() -> None:
    assert read_answer(responding(embedding={"values": [1, 0.5]})) == Answer(embedding=[1, 0.5])
    several = read_answer(responding(embeddings=[{"values": [1]}, {"values": [2]}]))
    assert (several.embedding, several.left_out(FORMS)) == (
        [1],
        "in the raw line alone: 1 further embedding",
    )


def test_arguments_keep_their_digits() -> None:
    text = b'{"response":{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"a_b":%s}}}]}}]}}'
    for digits in (b"1.50", b"123456789012345678901234567890", b"0.1234567890123456789", b"-0.0"):
        (read,) = shown(text % digits)
        assert encode_calls(read.calls) == b'[{"name":"f","args":{"a_b":%s}}]' % digits


@pytest.mark.parametrize(
    ("parts", "forms", "words"),
    [
        ([{"text": "a"}, thought("hm")], ["media"], None),
        ([inline(b"x")], ["media"], None),
        ([inline(b"x"), inline(b"y")], ["text"], "2 inlineData"),
        ([{"inline_data": {"mime_type": "image/png", "data": "AAAA"}}], ["table"], "1 inlineData"),
        ([inline(b"x", thought=True)], FORMS, "1 thought inlineData"),
        ([CALL], ["json"], None),
        ([CALL], ["text"], "1 functionCall"),
        ([{"executableCode": {"code": "1"}}], ["table"], None),
        (
            [{"code_execution_result": {"output": "1"}}],
            ["text", "json", "media"],
            "1 codeExecutionResult",
        ),
        ([{"fileData": {"fileUri": "u"}}], FORMS, "1 fileData"),
        (
            [{"file_data": {"file_uri": "u"}, "video_metadata": {"fps": 1}}],
            FORMS,
            "1 fileData, 1 videoMetadata",
        ),
        ([{"functionResponse": {"name": "f"}}], FORMS, "1 functionResponse"),
        ([{"hologram": {}}], FORMS, "1 hologram"),
        ([{"text": 7}], FORMS, "1 text"),
        (["x"], FORMS, "1 part of an unknown shape"),
        ([{f"kind{number:02}": 1} for number in range(12)], FORMS, "1 kind09 and 2 more kinds"),
        ([{"x" * 999: 1}], FORMS, "1 " + "x" * 40),
    ],
)
def test_what_no_form_holds_is_said(parts: list[Any], forms: list[Form], words: str | None) -> None:
    left = read_answer(responding(candidate(*parts))).left_out(forms)
    assert left is None if words is None else (left or "").endswith(words)


def test_candidates_that_are_not_shown_are_said() -> None:
    data = responding(
        candidate({"text": "a"}),
        candidate({"text": "b"}, reason="OTHER"),
        {"finishReason": "SAFETY"},
    )
    assert (
        read_answer(data).left_out(FORMS)
        == "in the raw line alone: 1 candidate that ended with OTHER"
    )


@pytest.mark.parametrize(
    ("text", "plain"), [("ä\U0001f600", "ä\U0001f600"), ("a\ud800b", "a\\ud800b"), ("\\", "\\")]
)
def test_plain_text_is_utf8(text: str, plain: str) -> None:
    assert plain_text(text) == plain


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(("response", "candidates", "content", "parts")), inner)
    ),
)


@given(json_values)
def test_any_shape_is_read(value: object) -> None:
    answer = read_answer(json.dumps({"response": value}).encode())
    assert all(candidate.media == () for candidate in answer.candidates)
