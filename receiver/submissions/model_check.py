"""Checks with Gemini that it has the model of a submission, before anything is uploaded."""

from difflib import get_close_matches

from receiver.errors import GeminiError, NotFoundError, SubmissionError
from receiver.gemini.models import MODEL_NAME, Models, full_model_name
from receiver.gemini.transport import Transport
from receiver.submissions.submission import RequestKind

# A model that takes single requests of a kind may take batches of them, even if Gemini does not
# list that method.
METHODS: dict[RequestKind, frozenset[str]] = {
    "generate": frozenset({"batchGenerateContent", "generateContent"}),
    "embed": frozenset({"asyncBatchEmbedContent", "batchEmbedContents", "embedContent"}),
}
MAX_SUGGESTIONS = 3
MIN_LIKENESS = 0.6  # for difflib


def check_model(transport: Transport, model: str, kind: RequestKind) -> str | None:
    """None if Gemini has the model for such requests; else why it could not be checked.

    Raises SubmissionError if Gemini has no such model, or has it for other kinds of requests.
    """
    name = full_model_name(model)
    if not MODEL_NAME.fullmatch(name):
        raise SubmissionError(
            f"{model!r} is no name of a model: expected one such as gemini-3.8-flash"
        )
    models = Models(transport)
    try:
        methods = models.get(name).methods
    except NotFoundError as error:
        raise SubmissionError(f"{error}: nothing was sent{_suggest(models, name, kind)}") from error
    except GeminiError as error:
        return f"the model {model} was not checked: {error}"
    if methods and not methods & METHODS[kind]:
        asked = "embeddings" if kind == "embed" else "answers"
        said = ", ".join(sorted(methods))
        raise SubmissionError(
            f"the model {model} takes no requests for {asked}, only {said}: nothing was sent"
        )
    return None


def _suggest(models: Models, name: str, kind: RequestKind) -> str:
    try:
        known = [
            model.name.removeprefix("models/")
            for model in models.list()
            if not model.methods or model.methods & METHODS[kind]
        ]
    except GeminiError:
        return ""
    close = get_close_matches(name.removeprefix("models/"), known, MAX_SUGGESTIONS, MIN_LIKENESS)
    return f"; did you mean {', '.join(close)}?" if close else ""
