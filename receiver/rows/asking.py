"""What is asked of every row: from a row to a request of the Gemini API.

The form of a request: https://ai.google.dev/api/generate-content, in snake_case.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from receiver.errors import RowsError
from receiver.rows.prompts import Prompt
from receiver.rows.readers import Row

# Gives the part of a request for the file or URI in a cell.
Attach = Callable[[str], dict[str, Any]]
JSON = "application/json"


@dataclass(frozen=True)
class Asking:
    """The user's wishes, the same for all rows."""

    prompt: Prompt | None  # None where rows are embedded
    system: Prompt | None = None
    embed: str | None = None  # the column whose text is embedded
    schema: dict[str, Any] | None = None  # of the answer
    config: Mapping[str, Any] = field(default_factory=dict)  # `generation_config`
    attachments: Sequence[str] = ()  # columns
    key: str | None = None  # the column of the keys; None: the row's number is its key

    def key_of(self, row: Row) -> str:
        """The key of a row. Raises RowsError where its cell can't be one."""
        if self.key is None:
            return str(row.number)
        value = row.cells.get(self.key)
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise RowsError(
                f"row {row.number}: its {self.key!r} is {_shown(value)}: a key is a text or a whole"
                " number; without --key the row's number is its key"
            )
        return str(value)

    def request_for(self, row: Row, attach: Attach) -> dict[str, Any]:
        """The request of a row. Raises RowsError, which names row and column."""
        if self.embed is not None:
            return {"content": {"parts": [{"text": self._text_of(row, self.embed)}]}}
        parts = [self._attached(row, column, attach) for column in self.attachments]
        assert self.prompt is not None  # noqa: S101 - for the type checker: one of both is given
        text = self.prompt.render(row.number, row.cells)
        if not text.strip():
            raise RowsError(f"row {row.number}: the prompt is empty, so there is nothing to ask")
        request: dict[str, Any] = {
            "contents": [{"role": "user", "parts": [*_filled(parts), {"text": text}]}]
        }
        if self.system is not None:
            words = self.system.render(row.number, row.cells)
            request["system_instruction"] = {"parts": [{"text": words}]}
        if config := self._config():
            request["generation_config"] = config
        return request

    def _config(self) -> dict[str, Any]:
        if self.schema is None:
            return dict(self.config)
        schema = {"response_mime_type": JSON, "response_json_schema": self.schema}
        return schema | dict(self.config)

    def _text_of(self, row: Row, column: str) -> str:
        value = row.cells.get(column)
        if not isinstance(value, str) or not value.strip():
            raise RowsError(
                f"row {row.number}: its {column!r} is {_shown(value)}: only a text can be embedded"
            )
        return value

    def _attached(self, row: Row, column: str, attach: Attach) -> dict[str, Any] | None:
        value = row.cells.get(column)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise RowsError(
                f"row {row.number}: its {column!r} is {_shown(value)}, and no path or address"
            )
        try:
            return attach(value)
        except RowsError as error:
            raise RowsError(f"row {row.number}, column {column!r}: {error}") from error


def _filled(parts: Sequence[dict[str, Any] | None]) -> list[dict[str, Any]]:
    return [part for part in parts if part is not None]


def _shown(value: object) -> str:
    text = repr(value)
    return "missing" if value is None else "empty" if value == "" else text[:60]


def digest_request(request: Mapping[str, Any]) -> bytes:
    """The same 16 bytes for requests that ask the same, in whatever order their members are."""
    canonical = msgspec.json.encode(request, order="deterministic")
    return hashlib.blake2b(canonical, digest_size=16).digest()


def read_setting(text: str) -> tuple[str, Any]:
    """`--set NAME=VALUE`: JSON where it is some, else text. Raises RowsError.

    >>> read_setting("temperature=0.2"), read_setting("response_mime_type=text/x.enum")
    (('temperature', 0.2), ('response_mime_type', 'text/x.enum'))
    """
    name, found, value = text.partition("=")
    if not found or not name.strip():
        raise RowsError(f"--set takes NAME=VALUE, such as temperature=0.2, not {text!r}")
    try:
        return name.strip(), msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name.strip(), value
