import json
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from receiver.gemini.batches import Gemini
from receiver.submissions.gauges import Gauge, assume_rates
from receiver.submissions.output_history import NO_HISTORY, AnswerTokens
from receiver.submissions.request_sizes import RequestSize, measure_request
from receiver.submissions.submission import RequestKind, TokenRates
from receiver.submissions.token_counts import (
    MARGIN,
    PLACES,
    CountedRequest,
    conclude_rates,
    fetch_rates,
    sample_requests,
)
from tests.answering import Answer, answering

MODEL = "gemini-3.8-flash"
IMAGE = {"inlineData": {"mimeType": "image/png", "data": "A" * 40_000}}


@pytest.fixture
def gemini(sandbox_url: str) -> Iterator[Gemini]:
    with Gemini(sandbox_url, "right-key") as gemini:
        yield gemini


def row(number: int, text: str, *parts: dict[str, Any]) -> bytes:
    request = {"contents": [{"parts": [{"text": text}, *parts]}]}
    return json.dumps({"key": f"k{number}", "request": request}).encode() + b"\n"


def write(tmp_path: Path, *lines: bytes) -> Path:
    path = tmp_path / "requests.jsonl"
    path.write_bytes(b"".join(lines))
    return path


def fetch(
    gemini: Gemini, path: Path, model: str = MODEL, kind: RequestKind = "generate"
) -> tuple[TokenRates, str | None]:
    return fetch_rates(gemini.transport, path, kind, model, NO_HISTORY)


def test_requests_from_all_over_are_counted(gemini: Gemini, tmp_path: Path) -> None:
    lines = [row(number, "word " * (number % 50 + 200)) for number in range(500)]
    rates, doubt = fetch(gemini, write(tmp_path, *lines))
    assert doubt is None
    assert rates.counted == PLACES
    assert 0.2 < rates.per_byte < 0.25
    assert rates.per_byte < rates.most_per_byte < 0.25 * MARGIN
    assert (rates.input_limit, rates.output_limit) == (1_048_576, 65_536)


def test_no_request_passes_the_bound(gemini: Gemini, tmp_path: Path) -> None:
    """The sandbox counts four letters as a token."""
    lines = [row(number, "word " * (number % 50 + 1)) for number in range(500)]
    rates, _ = fetch(gemini, write(tmp_path, *lines))
    gauge = Gauge("generate", rates)
    for line in lines:
        request = json.loads(line)["request"]
        text = request["contents"][0]["parts"][0]["text"]
        assert gauge.weigh(measure_request(line, request)).dense_input >= len(text) // 4


def test_attachments_are_counted_apart(gemini: Gemini, tmp_path: Path) -> None:
    """40,000 bytes of an image have 258 tokens, and the text beside it as many as elsewhere."""
    plain = [row(number, "word " * 200) for number in range(200)]
    images = [row(number, "word " * 200, IMAGE) for number in range(200, 220)]
    mixed = [*plain[:100], *images, *plain[100:]]
    rates, _ = fetch(gemini, write(tmp_path, *mixed))
    assert rates.counted > PLACES / 2
    assert 0.2 < rates.per_byte < 0.25
    assert rates.per_attachment == pytest.approx(258, abs=15)
    assert rates.most_per_attachment == pytest.approx(258 * MARGIN, abs=20)


def test_rare_attachments_may_fill_a_request(gemini: Gemini, tmp_path: Path) -> None:
    """Where none was counted, nobody knows how large they are."""
    rates, _ = fetch(gemini, write(tmp_path, *[row(number, "word") for number in range(30)]))
    assert rates.most_per_attachment == 1_048_576


def test_few_requests_are_counted_once_each(gemini: Gemini, tmp_path: Path) -> None:
    rates, _ = fetch(gemini, write(tmp_path, row(1, "one"), row(2, "two"), row(3, "three")))
    assert rates.counted == 3


def test_embeddings_are_counted(gemini: Gemini, tmp_path: Path) -> None:
    request = {"content": {"parts": [{"text": "word " * 100}]}}
    line = json.dumps({"key": "k", "request": request}).encode() + b"\n"
    rates, doubt = fetch(gemini, write(tmp_path, line), "gemini-embedding-001", "embed")
    assert (rates.counted, doubt) == (1, None)
    assert 0.15 < rates.per_byte < 0.25


def test_request_that_gemini_does_not_count_is_left_out(tmp_path: Path) -> None:
    """Such as one whose file is gone."""
    asked = list[str]()

    def answer(path: str, _: Message) -> Answer:
        if not path.endswith(":countTokens"):
            return Answer(200, b'{"name": "models/x"}')
        asked.append(path)
        return Answer(400, b"{}") if len(asked) == 1 else Answer(200, b'{"totalTokens": 12}')

    path = write(tmp_path, row(1, "a" * 20), row(2, "b" * 20), row(3, "c" * 20))
    with answering(answer) as url, Gemini(url, "right-key") as gemini:
        rates, doubt = fetch(gemini, path, "x")
    assert (len(asked), rates.counted, doubt) == (3, 2, None)


@pytest.mark.parametrize("status", [401, 404, 429, 503])
def test_gemini_that_does_not_count_is_asked_no_more(status: int, tmp_path: Path) -> None:
    asked = list[str]()

    def answer(path: str, _: Message) -> Answer:
        asked.append(path)
        if path.endswith(":countTokens"):
            return Answer(status, b"{}")
        return Answer(200, b'{"name": "models/x", "outputTokenLimit": 8192}')

    path = write(tmp_path, *[row(number, "word") for number in range(30)])
    with answering(answer) as url, Gemini(url, "right-key") as gemini:
        rates, doubt = fetch(gemini, path, "x")
    assert len(asked) == 2
    assert doubt is not None
    assert doubt.startswith("tokens were not counted: ")
    assert rates == assume_rates(output_limit=8192)


def test_unknown_model_has_assumed_rates(gemini: Gemini, tmp_path: Path) -> None:
    rates, doubt = fetch(gemini, write(tmp_path, row(1, "word")), "gemini-none")
    assert rates == assume_rates()
    assert doubt is not None
    assert "gemini-none" in doubt


def test_what_was_counted_before_an_outage_counts(tmp_path: Path) -> None:
    asked = list[str]()

    def answer(path: str, _: Message) -> Answer:
        asked.append(path)
        return (
            Answer(503, b"{}") if len(asked) > 4 else Answer(200, b'{"name": "", "totalTokens": 9}')
        )

    path = write(tmp_path, *[row(number, "word") for number in range(30)])
    with answering(answer) as url, Gemini(url, "right-key") as gemini:
        rates, doubt = fetch(gemini, path, "x")
    assert rates.counted == 3
    assert doubt is not None


def test_counting_ends_in_time(gemini: Gemini, tmp_path: Path) -> None:
    path = write(tmp_path, row(1, "word"))
    rates, doubt = fetch_rates(gemini.transport, path, "generate", MODEL, NO_HISTORY, -1)
    assert (rates.counted, doubt) == (0, None)


def test_answers_have_the_length_of_earlier_ones(gemini: Gemini, tmp_path: Path) -> None:
    path = write(tmp_path, row(1, "word"))
    rates, _ = fetch_rates(gemini.transport, path, "generate", MODEL, AnswerTokens(321.5, 4))
    assert (rates.per_answer, rates.batches) == (321.5, 4)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", 0),
        (b"\n\n\n", 0),
        (b"[" * 100_000, 0),
        (b'{"key": "k", "request": ["no object"]}\n' * 50, 0),
        (b"no json\n" + row(1, "a"), 1),
        (row(1, "a").rstrip(b"\n"), 1),
        (row(1, "a" * 5_000_000) + row(2, "b"), 1),
        (row(1, "a" * 3_000_000) * 15, 11),
        (row(1, "a" * 300_000) * 3, 3),
    ],
)
def test_sample_is_bounded_and_of_whole_requests(data: bytes, found: int, tmp_path: Path) -> None:
    assert len(list(sample_requests(write(tmp_path, data)))) == found


def test_file_that_is_gone_has_no_sample(tmp_path: Path) -> None:
    assert list(sample_requests(tmp_path / "none.jsonl")) == []


def counted(tokens: int, text_bytes: int, attachments: int = 0) -> CountedRequest:
    return CountedRequest(RequestSize(text_bytes, attachments, None, 1, runs_tools=False), tokens)


def test_densest_request_bounds_the_others() -> None:
    rates = conclude_rates(assume_rates(), [counted(10, 100), counted(60, 200)])
    assert rates.per_byte == pytest.approx(70 / 300)
    assert rates.most_per_byte == pytest.approx(0.3 * MARGIN)


def test_bound_is_never_above_a_token_per_byte() -> None:
    assert conclude_rates(assume_rates(), [counted(99, 100)]).most_per_byte == 1.0


def test_attachments_alone_leave_the_text_to_assumptions() -> None:
    rates = conclude_rates(assume_rates(), [counted(600, 400, 2), counted(1100, 400)])
    assert rates.most_per_byte == 1.0
    alone = conclude_rates(assume_rates(), [counted(600, 400, 2)])
    assert (alone.per_byte, alone.most_per_byte) == (0.25, 1.0)
    assert (alone.per_attachment, alone.most_per_attachment) == (250, 250 * MARGIN)


def test_attachments_without_tokens_of_their_own_have_none() -> None:
    rates = conclude_rates(assume_rates(), [counted(10, 400, 1)])
    assert (rates.per_attachment, rates.most_per_attachment) == (0, 0)


def test_without_a_count_nothing_changes() -> None:
    assert conclude_rates(assume_rates(), []) == assume_rates()
