"""Gemini's models, as far as batches concern them: https://ai.google.dev/api/models."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from receiver.gemini.paging import list_items
from receiver.gemini.transport import Transport, decode

MODEL_NAME = re.compile(r"(models|tunedModels)/[A-Za-z0-9._-]{1,128}")


@dataclass(frozen=True)
class Model:
    """A model that an API key may use."""

    name: str  # "models/<id>" or "tunedModels/<id>"
    methods: frozenset[str]  # such as batchGenerateContent; empty if Gemini does not say
    # Tokens of one request and of one answer; None if Gemini does not say.
    input_limit: int | None = None
    output_limit: int | None = None


class _Model(msgspec.Struct, rename="camel"):
    name: str
    supported_generation_methods: list[str] = []
    input_token_limit: int | None = None
    output_token_limit: int | None = None


class _TokenCount(msgspec.Struct, rename="camel"):
    total_tokens: int


def full_model_name(model: str) -> str:
    """The name with its collection, which is "models" unless the name has one."""
    return model if "/" in model else f"models/{model}"


class Models:
    """The models that an API key may use. Every call raises GeminiError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self, name: str) -> Model:
        """One model by its full name. Raises NotFoundError if the key sees none."""
        return _read(decode(self._transport.get(quote(name), f"model {name}"), _Model, name))

    def count_tokens(self, name: str, asked: Mapping[str, Any]) -> int:
        """The input tokens of a request; `asked` is the call's body, and `name` a full name."""
        what = f"token count of {name}"
        body = self._transport.send("POST", f"{quote(name)}:countTokens", what, asked)
        return decode(body, _TokenCount, what).total_tokens

    def list(self) -> Iterator[Model]:
        """Every model but those that the project has tuned."""
        return map(_read, list_items(self._transport, "models", _Model))


def _read(model: _Model) -> Model:
    return Model(
        model.name,
        frozenset(model.supported_generation_methods),
        model.input_token_limit,
        model.output_token_limit,
    )
