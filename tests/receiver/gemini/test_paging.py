"""Inlined responses that the list repeats make its pages too large: then smaller ones are asked
for.
"""

import json
from contextlib import AbstractContextManager
from email.message import Message
from urllib.parse import parse_qs, urlsplit

import pytest

from receiver.errors import AnswerTooLargeError
from receiver.gemini import transport
from receiver.gemini.batches import Gemini
from receiver.gemini.paging import PAGE_SIZE
from tests.answering import Answer, answering

MAX_BYTES = 100_000


def serve_list(sizes: list[int], asked: list[int]) -> AbstractContextManager[str]:
    """Batches with so many bytes of responses each, in pages as they are asked for."""

    def answer(path: str, _: Message) -> Answer:
        query = parse_qs(urlsplit(path).query)
        page_size, start = int(query["pageSize"][0]), int(query.get("pageToken", ["0"])[0])
        asked.append(page_size)
        end = min(start + page_size, len(sizes))
        rows = [
            {
                "name": f"batches/{n}",
                "response": {"inlinedResponses": {"inlinedResponses": ["x" * sizes[n]]}},
            }
            for n in range(start, end)
        ]
        more = {"nextPageToken": str(end)} if end < len(sizes) else {}
        return Answer(200, json.dumps({"operations": rows} | more).encode())

    return answering(answer)


def test_large_pages_are_asked_for_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_ANSWER_BYTES", MAX_BYTES)
    asked = list[int]()
    with serve_list([1000] * 250, asked) as url, Gemini(url, "key") as gemini:
        listed = list(gemini.list_batches())
    assert [one.name for one in listed] == [f"batches/{n}" for n in range(250)]
    assert asked[:2] == [PAGE_SIZE, PAGE_SIZE // 4]


def test_batch_that_is_too_large_alone_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_ANSWER_BYTES", MAX_BYTES)
    asked = list[int]()
    with (
        serve_list([MAX_BYTES], asked) as url,
        Gemini(url, "key") as gemini,
        pytest.raises(AnswerTooLargeError, match="over"),
    ):
        list(gemini.list_batches())
    assert asked[-1] == 1
