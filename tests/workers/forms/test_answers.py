import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import nasty
from tests.workers.forms.reading import line, thought
from workers.forms.answers import NO_ANSWER, Answer, plain_text, read_answer


def responding(*candidates: Any, **more: Any) -> bytes:
    return json.dumps({"response": {"candidates": candidates, **more}, "key": "k"}).encode()


def candidate(*parts: Any, reason: str = "STOP") -> dict[str, Any]:
    return {"content": {"parts": parts}, "finishReason": reason}


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (line("k", "a", "b"), Answer("ab")),
        (line("k", thought("hm"), "a", thought("m")), Answer("a", "hmm")),
        (line("k", thought("hm"), reason="MAX_TOKENS"), Answer(None, "hm")),
        (line("k", "half", reason="MAX_TOKENS"), Answer("half")),
        (line("k", "bad", reason="SAFETY"), NO_ANSWER),
        (line("k", thought("bad"), reason="SAFETY"), NO_ANSWER),
        (responding(candidate({"text": "bad"}, reason="SAFETY"), candidate({"text": "good"})), Answer("good")),
        (responding(candidate({"text": "one"}), candidate({"text": "two"})), Answer("one")),
        (responding(candidate({"functionCall": {"name": "f"}})), NO_ANSWER),
        (responding(candidate({"text": "\ud800"})), Answer("\ud800")),
        (responding(candidate({"text": 7}, "x", None, {"text": "a"})), Answer("a")),
        (responding(embedding={"values": [1, 0.5]}), Answer(embedding=[1, 0.5])),
        (responding(candidate({"text": "a"}), n=float("nan")), Answer("a")),
        (b"\xef\xbb\xbf" + line("k", "a"), Answer("a")),
        (b"[" * 100_000, NO_ANSWER),
        (b"\xff", NO_ANSWER),
        (b"", NO_ANSWER),
        (b'{"response":null}', NO_ANSWER),
        (nasty.failure("k", 8), NO_ANSWER),
    ],
)
def test_answer_is_told_from_its_wrapping(data: bytes, answer: Answer) -> None:
    assert read_answer(data)._replace(finish_reasons=()) == answer


@pytest.mark.parametrize(("text", "plain"), [("ä\U0001f600", "ä\U0001f600"), ("a\ud800b", "a\\ud800b"), ("\\", "\\")])
def test_plain_text_is_utf8(text: str, plain: str) -> None:
    assert plain_text(text) == plain


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(("response", "candidates", "content", "parts")), inner)
    ),
)


@given(json_values)
def test_any_shape_is_read(value: object) -> None:
    assert read_answer(json.dumps({"response": value}).encode()).media == ()
