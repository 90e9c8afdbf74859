"""Gemini's models, as far as a batch needs to know them: https://ai.google.dev/api/models."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import msgspec

from receiver.gemini.transport import Transport, decode

MODEL_NAME = re.compile(r"(models|tunedModels)/[A-Za-z0-9._-]{1,128}")
PAGE_SIZE = 1000  # the most that one page takes
MAX_PAGES = 20


@dataclass(frozen=True)
class Model:
    """A model that an API key may use."""

    name: str  # "models/<id>" or "tunedModels/<id>"
    methods: frozenset[str]  # such as batchGenerateContent; empty where Gemini does not say


class _Model(msgspec.Struct, rename="camel"):
    name: str
    supported_generation_methods: list[str] = []


class _Page(msgspec.Struct, rename="camel"):
    models: list[_Model] = []
    next_page_token: str = ""


def full_model_name(model: str) -> str:
    """The name with its collection; `models` where none is said."""
    return model if "/" in model else f"models/{model}"


class Models:
    """What a project's key may use. Every call raises GeminiError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, name: str) -> Model:
        """One model by its full name. Raises NotFoundError when the key sees none."""
        return _read(decode(self._transport.get(quote(name), f"model {name}"), _Model, name))

    def list(self) -> Iterator[Model]:
        """The models, page by page; those that a project tuned are not among them."""
        token, what = "", "the list of models"
        for _ in range(MAX_PAGES):
            query = f"models?pageSize={PAGE_SIZE}" + (
                f"&pageToken={quote(token, safe='')}" if token else ""
            )
            page = decode(self._transport.get(query, what), _Page, what)
            yield from (_read(model) for model in page.models)
            token = page.next_page_token
            if not token:
                return


def _read(model: _Model) -> Model:
    return Model(model.name, frozenset(model.supported_generation_methods))
