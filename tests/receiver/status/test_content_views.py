"""What a line shows: every known form of answers and requests, and what has none."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.answers.large_lines import MAX_VALUES
from receiver.status.content_pieces import MAX_CHARACTERS, MAX_PICTURES, MAX_PIECES
from receiver.status.content_views import ContentView, unwrap_error, view_answer, view_request
from receiver.status.shown_json import MAX_ENTRIES, MAX_TEXT, indent_text, show_value
from tests import nasty
from tests.receiver.status.answer_world import inline, responding

NAMES = [
    "key",
    "request",
    "response",
    "body",
    "error",
    "candidates",
    "content",
    "contents",
    "parts",
    "messages",
    "role",
    "text",
    "thought",
    "inlineData",
    "inline_data",
    "mimeType",
    "data",
    "image_url",
    "url",
    "functionCall",
    "args",
    "executableCode",
    "code",
    "codeExecutionResult",
    "output",
    "embedding",
    "embeddings",
    "values",
    "systemInstruction",
    "raw",
    "raw_base64",
    "finishReason",
    "custom_id",
    "choices",
    "message",
    "tool_calls",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.sampled_from(NAMES),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=20,
)
ASKED = [("text", "Hi"), ("picture", "image/png")]


def shown(view: ContentView) -> list[list[tuple[str, str]]]:
    """Kind, and title or text, of each piece of each turn."""
    return [[(one.kind, one.title or one.text) for one in turn.pieces] for turn in view.turns]


def rest(view: ContentView) -> Any:
    assert view.rest is not None
    return json.loads(view.rest.text)


@pytest.mark.parametrize(
    "content",
    [
        {"contents": [{"parts": [{"text": "Hi"}, inline("image/png", b"x")]}]},
        {"contents": {"parts": [{"text": "Hi"}, inline("image/png", b"x")]}},
        {
            "contents": [
                {
                    "parts": [
                        {"text": "Hi"},
                        {"inline_data": {"mime_type": "image/png", "data": "eA"}},
                    ]
                }
            ]
        },
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Hi"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}},
                    ],
                }
            ]
        },
    ],
    ids=["gemini", "one content", "snake_case", "openai"],
)
def test_request_is_read_in_every_form(content: dict[str, Any]) -> None:
    member = "body" if "messages" in content else "request"
    view = view_request(json.dumps({"key": "k", member: content | {"n": 1}}).encode())
    assert shown(view) == [ASKED]
    assert view.turns[0].title == "user"
    assert rest(view) == {"key": "k", "request": {"n": 1}}
    assert base64.b64decode(view.media[0].data + "==") == b"x"


def test_turns_have_their_authors() -> None:
    request = {
        "system_instruction": {"parts": [{"text": "Be brief."}]},
        "contents": [{"role": who, "parts": [{"text": who}]} for who in ("user", "model")],
    }
    view = view_request(json.dumps({"request": request}).encode())
    assert [turn.title for turn in view.turns] == ["System instruction", "user", "model"]
    texts = {"messages": [{"role": "system", "content": "Be brief."}], "model": "m"}
    view = view_request(json.dumps({"custom_id": "k", "body": texts}).encode())
    assert shown(view) == [[("text", "Be brief.")]]
    assert rest(view) == {"custom_id": "k", "request": {"model": "m"}}


def test_candidates_stand_below_each_other() -> None:
    candidates = [
        {"content": {"parts": [{"text": "a"}, {"text": "b"}]}, "finishReason": "STOP"},
        {"content": None, "finishReason": "SAFETY", "safetyRatings": []},
    ]
    view = view_answer(json.dumps({"response": {"candidates": candidates}}).encode())
    assert [(turn.title, turn.note) for turn in view.turns] == [
        ("Candidate 1", "STOP"),
        ("Candidate 2", "SAFETY"),
    ]
    assert shown(view) == [[("text", "ab")], []]
    about = {"finishReason": "SAFETY", "safetyRatings": []}
    assert rest(view)["response"]["candidates"][1] == about


def test_every_kind_of_part_is_shown() -> None:
    view = view_answer(
        responding(
            "k",
            {"text": "why", "thought": True, "thoughtSignature": "x"},
            {"executableCode": {"code": "1", "language": "PYTHON"}},
            {"codeExecutionResult": {"output": "1", "outcome": "OUTCOME_OK"}},
            {"functionCall": {"name": "f", "args": {"a": 1}}},
            {"somethingNew": {"a": 1}},
            "plain",
            7,
        )
    )
    assert shown(view) == [
        [
            ("thoughts", "why"),
            ("code", "PYTHON"),
            ("output", "OUTCOME_OK"),
            ("call", "f"),
            ("other", "somethingNew"),
            ("text", "plain"),
            ("other", "7"),
        ]
    ]


def test_embedding_says_how_long_it_is() -> None:
    line = json.dumps({"response": {"embedding": {"values": [0.5] * 100}}}).encode()
    (turn,) = view_answer(line).turns
    assert json.loads(turn.pieces[0].text) == {"numbers": 100, "first": [0.5] * 8}


@pytest.mark.parametrize("line", [b"no json", b"12", b'{"key": "broken', b"\xff"])
def test_what_is_no_object_is_shown_as_it_came(line: bytes) -> None:
    assert shown(view_answer(line)) == [[("text", line.decode(errors="replace"))]]


def test_row_of_an_error_gives_its_line() -> None:
    line = nasty.failure("k", 8)
    text = json.dumps({"key": "k", "raw": line.decode(), "raw_base64": None})
    assert unwrap_error(text.encode()) == line
    coded = json.dumps({"raw": None, "raw_base64": base64.b64encode(b"\xff").decode()})
    assert unwrap_error(coded.encode()) == b"\xff"
    assert unwrap_error(b'{"raw":"\\ud800"}') == "\ud800".encode(errors="surrogatepass")
    assert unwrap_error(b'{"raw_base64":"x"}') == unwrap_error(b"junk") == b""


def test_side_is_bounded() -> None:
    parts = [{"text": "x" * MAX_CHARACTERS}, inline("image/png", b"x"), {"text": "y"}]
    (turn,) = view_answer(responding("k", *parts)).turns
    assert [(piece.kind, len(piece.text), piece.left) for piece in turn.pieces] == [
        ("text", MAX_CHARACTERS, 0),
        ("picture", 0, 0),
        ("text", 0, 1),
    ]
    view = view_answer(responding("k", *[inline("image/png", b"x")] * (MAX_PIECES + 5)))
    kinds = [piece.kind for piece in view.turns[0].pieces]
    assert (kinds.count("picture"), len(kinds)) == (MAX_PICTURES, MAX_PIECES)
    assert len(view.media) == MAX_PIECES + 5
    many = responding("k", {"text": "x"}, more=[0] * (MAX_VALUES + 1) + ["x" * 1_000_000])
    assert "values is not read" in view_answer(many).problem


@pytest.mark.parametrize(
    ("text", "indented"),
    [
        ('{"a":1.50}', '{\n  "a": 1.50\n}'),
        (' ["\\u00e4"]', '[\n  "\\u00e4"\n]'),
        ("12", None),
        ("{no json}", None),
        ("[" * 40 + "]" * 40, None),
        ('["' + "[" * 40 + '"]', '[\n  "' + "[" * 40 + '"\n]'),
    ],
)
def test_json_in_a_text_keeps_its_values(text: str, indented: str | None) -> None:
    assert indent_text(text) == indented


def test_values_are_shortened() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    value = {"t": "x" * (MAX_TEXT + 1), "l": [1] * (MAX_ENTRIES + 3), "d": deep}
    value |= {f"k{n}": 1 for n in range(MAX_ENTRIES)}
    shortened = json.loads(show_value(value))
    assert shortened["t"] == "x" * MAX_TEXT + "… 1 more characters"
    assert shortened["l"][MAX_ENTRIES:] == ["… 3 more"]
    assert shortened["…"] == "3 more"
    assert "…" in json.dumps(shortened["d"], ensure_ascii=False)


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(NAMES), JSON, min_size=1))
def test_any_line_is_shown(row: dict[str, Any]) -> None:
    line = json.dumps(row).encode()
    for view in (view_answer(line), view_request(line), view_answer(unwrap_error(line))):
        assert sum(len(piece.text) for turn in view.turns for piece in turn.pieces) < 10_000
    assert {piece.kind for piece in view_answer(line[:-1]).turns[0].pieces} == {"text"}


def test_deep_lines_are_shown() -> None:
    nested = b'{"response":' + b'{"candidates":[' * 300 + b"]}" * 300 + b"}"
    assert view_answer(nested).rest
    assert view_request(b'{"request":{"contents":' + b"[" * 500 + b"]" * 500 + b"}}").turns
    assert view_answer(b"[" * 100_000).turns
