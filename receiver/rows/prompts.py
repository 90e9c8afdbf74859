"""The prompt of a row: a Jinja template over its columns, in a sandbox. Pure."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, meta
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from receiver.errors import RowsError

MAX_RANGE = 10_000
MAX_NAMED = 20  # columns


class Prompt:
    """A template whose names are columns. Make it with `Prompt.parse`."""

    def __init__(self, template: Any, option: str) -> None:
        self._template, self._option = template, option

    @classmethod
    def parse(cls, text: str, columns: Sequence[str], option: str = "--prompt") -> "Prompt":
        """Read a template. Raises RowsError where it is none, or names no column of the table."""
        environment = ImmutableSandboxedEnvironment(
            undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True
        )
        environment.globals["range"] = _short_range
        try:
            names = meta.find_undeclared_variables(environment.parse(text))
            template = environment.from_string(text)
        except TemplateSyntaxError as error:
            raise RowsError(f"{option}, line {error.lineno}: {error.message}") from error
        unknown = sorted(names - set(columns) - {"row", *environment.globals})
        if unknown:
            raise RowsError(f"{option} names {unknown[0]!r}: {_hint(unknown[0], columns)}")
        return cls(template, option)

    def render(self, number: int, cells: Mapping[str, Any]) -> str:
        """The text for one row; `number` is for errors. Raises RowsError."""
        try:
            text: str = self._template.render({**cells, "row": cells})
        except SecurityError as error:
            raise RowsError(f"row {number}: {self._option} may not do that: {error}") from error
        except TemplateError as error:
            raise RowsError(f"row {number}: {self._option}: {error}") from error
        except Exception as error:
            # A template is a program of the user's: it can raise anything, such as TypeError.
            raise RowsError(
                f"row {number}: {self._option}: {type(error).__name__}: {error}"
            ) from error
        return text


def _hint(name: str, columns: Sequence[str]) -> str:
    close = get_close_matches(name, columns, 1)
    meant = f"did you mean {close[0]!r}? " if close else ""
    shown = ", ".join(columns[:MAX_NAMED])
    more = f" and {len(columns) - MAX_NAMED} more" if len(columns) > MAX_NAMED else ""
    said = f"there is no such column; {meant}the columns are {shown}{more}"
    if len(columns) == 1 and any(sign in columns[0] for sign in ";\t|"):
        said += "; .csv is separated by commas, and .tsv by tabs"
    return said


def _short_range(*args: int) -> range:
    found = range(*args)
    if len(found) > MAX_RANGE:
        raise SecurityError(f"a range of over {MAX_RANGE:,} numbers")
    return found
