import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import BrokenAnswerError, SettingsError
from receiver.settings.response_schemas import build_validator
from receiver.settings.settings import read_settings
from workers.forms.structured import StructuredAnswers

SCHEMA = {
    "type": "object",
    "properties": {"n": {"$ref": "#/$defs/n"}},
    "required": ["n"],
    "$defs": {"n": {"type": "integer"}},
}


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (' {"a" : 1.50,\n "b": "ä\u2028"} ', '{"a":1.50,"b":"ä\u2028"}'),
        ("123456789012345678901234567890.10e-1", "123456789012345678901234567890.10e-1"),
        ("[]", "[]"),
    ],
)
def test_answer_keeps_its_own_digits(text: str, data: str) -> None:
    assert StructuredAnswers(None).parse(text) == data.encode()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON: Expecting value at character 0"),
        ('{"a": 1', "not JSON"),
        ("```json\n{}\n```", "not JSON"),
        ("NaN", "NaN is no JSON"),
        ('"\ud800"', "UTF-8"),
        ('"\\ud800"', "UTF-8"),
        ("[" * 100_000, "nested too deeply"),
        ("1" * 5000, "not JSON"),
    ],
)
def test_broken_answer_is_said(text: str, words: str) -> None:
    with pytest.raises(BrokenAnswerError, match=words):
        StructuredAnswers(None).parse(text)


@given(
    st.recursive(
        st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        st.lists,
    )
)
def test_any_json_comes_through(value: object) -> None:
    assert json.loads(StructuredAnswers(None).parse(json.dumps(value, indent=3))) == value


def test_schema_is_held() -> None:
    answers = StructuredAnswers(build_validator(SCHEMA))
    assert answers.parse('{"n": 1}') == b'{"n":1}'
    with pytest.raises(
        BrokenAnswerError, match=r"breaks the schema at \$.n: 'x' is not of type 'integer'"
    ):
        answers.parse('{"n": "x"}')


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ('{"type": "OBJECT"}', "this is no JSON Schema: at type: 'OBJECT'"),
        ("{", "not JSON"),
        ('{"$ref": "#/$defs/gone"}', "refers to what it does not hold"),
        ('{"items": {"$ref": "https://example.com/schema"}}', "may refer to its own parts only"),
        ("no-such-file.json", "name of a JSON file"),
        ("[" * 100_000, "name of a JSON file"),
    ],
)
def test_wrong_schema_stops_the_start(schema: str, words: str) -> None:
    with pytest.raises(SettingsError, match=f"RESPONSE_SCHEMA: .*{words.replace('$', '.')}"):
        read_settings({"GEMINI_API_KEY": "k", "OUTPUT_FORMS": "json", "RESPONSE_SCHEMA": schema})


def test_schema_without_json_stops_the_start() -> None:
    with pytest.raises(
        SettingsError, match="RESPONSE_SCHEMA: it is of use only where OUTPUT_FORMS has json"
    ):
        read_settings({"GEMINI_API_KEY": "k", "OUTPUT_FORMS": "raw,text", "RESPONSE_SCHEMA": "{}"})


@pytest.mark.parametrize("forms", ["word", "raw,word", ",", "TEXT"])
def test_unknown_form_stops_the_start(forms: str) -> None:
    with pytest.raises(SettingsError, match=r"OUTPUT_FORMS: .*expected some of raw, text"):
        read_settings({"GEMINI_API_KEY": "k", "OUTPUT_FORMS": forms})
