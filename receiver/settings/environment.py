"""Reads environment variables, and gathers what is wrong with them instead of stopping at the first."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from receiver.errors import LayoutError
from receiver.settings.secret_files import read_secret_files

T = TypeVar("T")


@dataclass(frozen=True)
class Variable:
    """One setting as a user meets it: `--help` and the README are tested against the list of them."""

    name: str
    default: str
    meaning: str


class Reader:
    """`problems` fills up with one line a wrong variable, none of which quotes a value by itself.

    `environ` has the secrets that files hold as if the variables themselves were set.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        found = read_secret_files(environ)
        self.environ = found.environ
        self.problems = list(found.problems.values())
        self._not_had = found.problems.keys()
        self._files = found.files

    def text(self, *names: str, default: str = "") -> str:
        """The first of the variables that is not blank."""
        values = (self.environ.get(name, "").strip() for name in names)
        return next((value for value in values if value), default)

    def parsed(self, parse: Callable[[str], T], fallback: T, *names: str, default: str = "") -> T:
        """`parse` raises ValueError with what was expected; the value itself is never quoted by us."""
        if not self._not_had.isdisjoint(names):
            return fallback  # the problem is said already
        text = self.text(*names, default=default)
        try:
            return parse(text)
        except (ValueError, LayoutError) as error:
            self.problems.append(f"{self.stated(*names)}: {error}")
            return fallback

    def stated(self, *names: str) -> str:
        """The variable that a person has set, of those that `text` reads; the first where none is."""
        name = next((name for name in names if self.environ.get(name, "").strip()), names[0])
        return self._files.get(name, name)


def parse_switch(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("expected true or false")
    return text.lower() == "true"


def parse_token(text: str) -> str:
    """What a caller must show in a header; empty is none."""
    if text and not re.fullmatch(r"[!-~]{16,}", text):
        raise ValueError(
            "expected at least 16 characters without spaces, such as `openssl rand -hex 32` gives"
        )
    return text
