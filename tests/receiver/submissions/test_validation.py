import json

import pytest

from receiver.submissions.validation import CheckedLine, LineChecker, LineProblem, read_object

GOOD = b'{"key": "k1", "request": {"contents": [{"parts": [{"text": "Hello"}]}]}}\n'
EMBED = b'{"key": "e1", "request": {"content": {"parts": [{"text": "Hello"}]}}}\n'


def judge(*lines: bytes) -> list[CheckedLine | LineProblem]:
    return list(LineChecker().check(lines))


def taken(line: bytes) -> CheckedLine:
    return CheckedLine(1, line, read_object(line)["request"])


def row(**fields: object) -> bytes:
    return json.dumps(fields).encode()


CONTENTS = {"contents": [{"parts": [{"text": "x"}]}]}


def test_request_is_taken_as_it_stands() -> None:
    assert judge(GOOD) == [taken(GOOD)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"\xef\xbb\xbf" + GOOD, "byte order mark"),
        (b"not json\n", "it is no JSON: "),
        (b"[]\n", "it is no JSON object"),
        (b'{"key": "k", "request": NaN}', "it is no JSON: "),
        (b'{"key": "\xff"}', "it is no UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"key": "\\ud800", "request": {}}', "it is no JSON: "),
        (row(request=CONTENTS), 'it has no "key"'),
        (row(key="", request=CONTENTS), 'it has no "key"'),
        (row(key=7, request=CONTENTS), 'its "key" is no text'),
        (row(key="k"), 'it has no "request"'),
        (row(key="k", request="text"), 'it has no "request"'),
        (row(key="k", request={"contents": []}), 'no "contents"'),
        (row(key="k", request={"system_instruction": {"parts": []}}), 'no "contents"'),
        (row(key="k", contents=[]), 'it has no "request"'),
        (
            row(key="k", request=CONTENTS, generationConfig={}),
            'generationConfig: it belongs in "request.generation_config"',
        ),
        (
            row(key="k", request=CONTENTS, temperature=1, tools=[]),
            (
                'temperature: it belongs in "request.generation_config.temperature";'
                ' tools: it belongs in "request.tools"'
            ),
        ),
        (
            row(key="k", request=CONTENTS, config={}),
            'config: no such field; did you mean "request.generation_config"?',
        ),
    ],
)
def test_line_that_is_no_request_is_named(line: bytes, words: str) -> None:
    (problem,) = judge(line)
    assert isinstance(problem, LineProblem)
    assert words in str(problem)
    assert str(problem).startswith("line 1: ")


@pytest.mark.parametrize(
    "beside", [{"metadata": {"team": "blue"}}, {"request_id": "7"}, {"custom_id": "c"}]
)
def test_what_is_no_field_of_a_request_may_stand_beside_it(beside: dict[str, object]) -> None:
    (one,) = judge(row(key="k", request=CONTENTS, **beside))
    assert isinstance(one, CheckedLine)


def test_second_line_of_a_key_names_the_first() -> None:
    first, second, third = judge(GOOD, row(key="k2", request=CONTENTS), GOOD)
    assert [type(one) for one in (first, second)] == [CheckedLine, CheckedLine]
    assert str(third) == 'line 3: its key "k1" is also that of line 1: give every line its own key'


def test_long_key_is_shortened() -> None:
    long = row(key="x" * 200, request=CONTENTS)
    assert len(str(judge(long, long)[1])) < 150


def test_blank_line_between_requests_is_named() -> None:
    assert [str(one) for one in judge(GOOD, b"\n", b" \r\n", row(key="k2", request=CONTENTS))][
        1
    ].startswith("line 2: it is blank")


def test_blank_lines_at_the_end_are_nobodys_fault() -> None:
    assert judge(GOOD, b"\n", b"\n") == [taken(GOOD)]


def test_embeddings_are_not_taken_for_answers() -> None:
    (problem,) = judge(EMBED)
    assert str(problem) == (
        'line 1: request.content: no such field; did you mean "contents"?'
        " (for embeddings name a model of theirs, or say --embeddings)"
    )
    assert list(LineChecker("embed").check([EMBED])) == [taken(EMBED)]
    (problem,) = LineChecker("embed").check([GOOD])
    assert str(problem) == 'line 1: request.contents: no such field; did you mean "content"?'


def test_line_of_many_megabytes_is_refused() -> None:
    (problem,) = judge(b'{"key": "' + b"a" * (64 * 1024 * 1024) + b'"}')
    assert "over 64 MiB" in str(problem)


@pytest.mark.parametrize(
    ("value", "words"),
    [(b"[],[],[]," * 200_000, "over 500000 values"), ("ü".encode() * 5_000_000, "not ASCII alone")],
)
def test_line_that_would_fill_the_memory_is_not_decoded(value: bytes, words: str) -> None:
    """Twenty million empty lists take more than a gigabyte."""
    text = value if value.startswith(b"[") else b'"%b",' % value
    (problem,) = judge(b'{"key": "k", "request": {"contents": [%b0]}}' % text)
    assert "it would take too much memory" in str(problem)
    assert words in str(problem)
