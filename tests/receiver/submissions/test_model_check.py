import json
from collections.abc import Iterator
from email.message import Message

import pytest

from receiver.errors import GeminiError, SubmissionError
from receiver.gemini.batches import Gemini
from receiver.gemini.models import Models
from receiver.submissions.model_check import check_model
from receiver.submissions.submission import RequestKind
from tests.answering import Answer, answering


@pytest.fixture
def gemini(sandbox_url: str) -> Iterator[Gemini]:
    with Gemini(sandbox_url, "right-key") as gemini:
        yield gemini


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("gemini-3.8-flash", "generate"),
        ("models/gemini-3.8-flash", "generate"),
        ("gemini-embedding-2", "embed"),
    ],
)
def test_model_that_is_there_passes(gemini: Gemini, model: str, kind: RequestKind) -> None:
    assert check_model(gemini.transport, model, kind) is None


@pytest.mark.parametrize(
    ("model", "kind", "words"),
    [
        ("gemini-3.8-flsh", "generate", "did you mean gemini-3.8-flash,"),
        ("models/gemini-2.5-flash-lit", "generate", "did you mean gemini-2.5-flash-lite,"),
        ("gemini-embeding-2", "embed", "did you mean gemini-embedding-2, gemini-embedding-001?"),
        ("gpt", "generate", "nothing was sent$"),
        (
            "tunedModels/mine",
            "generate",
            "Gemini knows no model tunedModels/mine",
        ),
        (
            "gemini-3.8-flash",
            "embed",
            "takes no requests for embeddings, only .*: nothing was sent",
        ),
        ("gemini-embedding-2", "generate", "takes no requests for answers"),
        ("", "generate", "is no name of a model"),
        ("../files/x", "generate", "is no name of a model"),
        ("gemini 3", "generate", "is no name of a model"),
    ],
)
def test_model_that_is_not_there_stops(
    gemini: Gemini, model: str, kind: RequestKind, words: str
) -> None:
    with pytest.raises(SubmissionError, match=words):
        check_model(gemini.transport, model, kind)


@pytest.mark.parametrize(
    "answer", [Answer(503, b""), Answer(403, b""), Answer(200, b"<html>"), Answer(429, b"")]
)
def test_no_word_on_the_model_stops_nothing(answer: Answer) -> None:
    with answering(lambda _path, _headers: answer) as url, Gemini(url, "right-key") as gemini:
        said = check_model(gemini.transport, "gemini-3.8-flash", "generate")
    assert said is not None
    assert said.startswith("the model gemini-3.8-flash was not checked: ")


def test_model_without_methods_passes() -> None:
    body = json.dumps({"name": "models/x"}).encode()
    with (
        answering(lambda _path, _headers: Answer(200, body)) as url,
        Gemini(url, "right-key") as gemini,
    ):
        assert check_model(gemini.transport, "x", "generate") is None


def test_models_are_listed_page_by_page(gemini: Gemini) -> None:
    names = [model.name for model in Models(gemini.transport).list()]
    assert "models/gemini-3.8-flash" in names
    assert len(names) == len(set(names))


def test_endless_list_of_models_ends() -> None:
    """It suggests nothing, and hides nothing of what is wrong."""
    page = json.dumps({"models": [{"name": "models/x"}], "nextPageToken": "again"}).encode()

    def answer(path: str, _headers: Message) -> Answer:
        return Answer(200, page) if "?" in path else Answer(404, b"")

    with answering(answer) as url, Gemini(url, "right-key") as gemini:
        with pytest.raises(GeminiError, match="list of models goes in circles"):
            list(Models(gemini.transport).list())
        with pytest.raises(SubmissionError, match=r"knows no model models/y .*: nothing was sent$"):
            check_model(gemini.transport, "y", "generate")
