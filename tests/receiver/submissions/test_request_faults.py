"""What a user is told of a field that Gemini would refuse the whole file for."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.submissions.request_cautions import Caution
from receiver.submissions.request_faults import find_faults
from receiver.submissions.request_schema import compile_check
from receiver.submissions.submission import RequestKind
from receiver.submissions.validation import CheckedLine, LineChecker, LineProblem
from tests.receiver.submissions.test_validation import row

CONTENTS = [{"parts": [{"text": "x"}]}]


def said(request: Any, kind: RequestKind = "generate") -> list[str]:
    fits = compile_check(kind, in_snake_case=False)
    assert not fits(request)  # the quick check and the slow one agree
    return list(find_faults(kind, request))


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (
            {"config": {}},
            'request.config: no such field; did you mean "request.generation_config"?',
        ),
        (
            {"temperature": 1},
            'request.temperature: it belongs in "request.generation_config.temperature"',
        ),
        (
            {"maxOutputTokens": 1},
            'request.maxOutputTokens: it belongs in "request.generation_config.max_output_tokens"',
        ),
        ({"max_tokens": 1}, 'did you mean "request.generation_config.max_output_tokens"?'),
        ({"response_schema": {}}, 'it belongs in "request.generation_config.response_schema"'),
        ({"thinking_config": {}}, 'it belongs in "request.generation_config.thinking_config"'),
        ({"text": "x"}, 'it belongs in "request.contents[].parts[].text"'),
        (
            {"generation_config": {"system_instruction": {}}},
            'it belongs in "request.system_instruction"',
        ),
        ({"generation_config": {"tools": []}}, 'it belongs in "request.tools"'),
        (
            {"generation_config": {"thinking_budget": 1}},
            "request.generation_config.thinking_config.thinking_budget",
        ),
        ({"generation_config": {"temprature": 1}}, 'no such field; did you mean "temperature"?'),
        (
            {"generation_config": {"temperature": "0.5"}},
            "generation_config.temperature: a number is expected, not a text",
        ),
        ({"generation_config": {"temperature": True}}, "a number is expected, not true"),
        (
            {"generation_config": {"max_output_tokens": "9"}},
            "a whole number is expected, not a text",
        ),
        ({"generation_config": {"max_output_tokens": 9.5}}, "a whole number is expected, not 9.5"),
        (
            {"generation_config": {"stop_sequences": "x"}},
            "stop_sequences: a list is expected, not a text",
        ),
        (
            {"generation_config": {"stop_sequences": ["x", 1]}},
            "stop_sequences[1]: a text is expected, not 1",
        ),
        (
            {"generation_config": {"routing_config": {}}},
            "only Vertex AI takes it, not the Gemini API",
        ),
        ({"generation_config": []}, "request.generation_config: an object is expected, not a list"),
        (
            {"system_instruction": "Be brief."},
            "request.system_instruction: an object is expected, not a text",
        ),
        (
            {"systemInstruction": {"text": "x"}},
            'it belongs in "request.systemInstruction.parts[].text"',
        ),
        ({"tools": {"google_search": {}}}, "request.tools: a list is expected, not an object"),
        (
            {"tools": [{"googleSearchh": {}}]},
            'request.tools[0].googleSearchh: no such field; did you mean "google_search"?',
        ),
        ({"safetySetting": []}, 'did you mean "safety_settings"?'),
        (
            {"contents": [{"parts": [{"text": "x"}, {"txt": "x"}]}]},
            'request.contents[0].parts[1].txt: no such field; did you mean "text"?',
        ),
        ({"contents": {"parts": []}}, "request.contents: a list is expected, not an object"),
        (
            {"contents": [{"parts": [{"inline_data": {"data": "", "mimetype": ""}}]}]},
            'did you mean "mime_type"?',
        ),
        (
            {"contents": [{"text": "x"}]},
            'request.contents[0].text: it belongs in "request.contents[0].parts[].text"',
        ),
        ({"contents": ["x"]}, "request.contents[0]: an object is expected, not a text"),
        ({"messages": []}, 'did you mean "request.contents"?'),
    ],
)
def test_fault_is_named_with_its_path_and_the_right_place(
    member: dict[str, Any], words: str
) -> None:
    (fault,) = said({"contents": CONTENTS} | member)
    assert words in fault


def test_nonsense_is_named_alone() -> None:
    assert said({"contents": CONTENTS, "zzzzzz": 1}) == ["request.zzzzzz: no such field"]
    assert said({"content": {}, "zzz": 1}, "embed") == [
        (
            "request.zzz: no such field;"
            " it takes content, model, output_dimensionality, task_type, title"
        )
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["contents", "parts", "text", "tools", "generation_config", "topK", "x"]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from(["generate", "embed"]))
def test_quick_check_and_slow_one_agree(value: Any, kind: RequestKind) -> None:
    assert compile_check(kind, in_snake_case=False)(value) == (
        next(find_faults(kind, value), None) is None
    )


def test_line_names_several_faults_but_not_all() -> None:
    (problem,) = LineChecker().check(
        [row(key="k", request={"contents": CONTENTS} | dict.fromkeys("abcdefghijk", 1))]
    )
    assert isinstance(problem, LineProblem)
    assert problem.is_field
    assert str(problem).count("no such field") == 5


@pytest.mark.parametrize("depth", [300, 3_000, 300_000])
def test_deep_request_ends_no_check(depth: int) -> None:
    """Whether it is taken depends on the interpreter's limit; what it may not do is raise."""
    contents = b'"contents": [{"parts": [{"text": "x"}]}]'
    config = b'"generation_config": {"response_schema": '
    start = b'{"key": "k", "request": {%b, %b' % (contents, config)
    (verdict,) = LineChecker().check([start + b'{"items": ' * depth + b"{}" + b"}" * (depth + 3)])
    assert isinstance(verdict, CheckedLine) or "nested too deeply" in str(verdict)


def test_many_wrong_lines_are_counted_quickly() -> None:
    """Each with a name of its own, for which something like it would be looked for."""
    lines = [
        row(key=str(n), request={"contents": CONTENTS, f"unheard_of_{n}": 1}) for n in range(20_000)
    ]
    started = time.process_time()
    problems = list(LineChecker().check(lines))
    assert time.process_time() - started < 5
    assert (len(problems), str(problems[-1])) == (
        20_000,
        "line 20000: it has fields that do not fit the schema, like lines before it",
    )


def cautions(*requests: dict[str, Any], allow_unknown_fields: bool = False) -> list[Caution]:
    checker = LineChecker(allow_unknown_fields=allow_unknown_fields)
    verdicts = list(
        checker.check(
            [row(key=str(number), request=request) for number, request in enumerate(requests)]
        )
    )
    assert not any(isinstance(one, LineProblem) for one in verdicts)
    return list(checker.cautions)


def test_unknown_field_can_be_let_through() -> None:
    new = {"contents": CONTENTS, "quite_new": 1}
    (caution,) = cautions(new, {"contents": CONTENTS}, new, allow_unknown_fields=True)
    assert str(caution) == "line 1 and 1 more: request.quite_new: no such field"


def test_deprecated_sampling_is_a_caution() -> None:
    sampled = {"contents": CONTENTS, "generation_config": {"temperature": 0, "top_k": 1}}
    words = [str(one) for one in cautions({"contents": CONTENTS}, sampled, sampled)]
    assert [one.split(" is ")[0] for one in words] == [
        "line 2 and 1 more: generation_config.temperature",
        "line 2 and 1 more: generation_config.top_k",
    ]


def test_camel_case_is_a_caution_and_no_more() -> None:
    request = {"contents": CONTENTS, "generationConfig": {"seed": 1}}
    (caution,) = cautions(request)
    assert "names in camelCase" in str(caution)
    checker = LineChecker(inline=True)  # only files are in doubt
    assert len(list(checker.check([row(key="k", request=request)]))) == 1
    assert list(checker.cautions) == []


def test_tool_that_fails_every_row_is_a_caution() -> None:
    tools = [
        {
            "mcp_servers": [
                {"name": "x", "streamable_http_transport": {"url": "https://mcp.example"}}
            ]
        }
    ]
    (caution,) = cautions(
        {
            "contents": CONTENTS,
            "tools": tools,
            "generation_config": {"response_schema": {"type": "STRING"}},
        }
    )
    assert "every such request failed" in str(caution)
    assert cautions({"contents": CONTENTS, "tools": tools}) == []


def test_cautions_stay_few() -> None:
    requests = [{"contents": CONTENTS, f"new_{number}": 1} for number in range(50)]
    assert len(cautions(*requests, allow_unknown_fields=True)) == 20
