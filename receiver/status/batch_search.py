"""What the address of the list of batches asks for, and the addresses of other lists."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args
from urllib.parse import urlencode

from receiver.batch_names import PROJECT
from receiver.inbox.entries import State
from receiver.inbox.finding import FIRST_MS, LAST_MS, WANTED_OUTCOMES, BatchFilter, Order
from receiver.settings.projects import DEFAULT
from receiver.status import formatting
from receiver.status.view_models import STATES

LIST = "/status/batches"
FIELDS = ("q", "state", "outcome", "project", "model", "from", "to", "sort")
START = "newest"  # in place of a cursor
MAX_FIELD = 300  # characters
DAY_MS = 86_400_000
OUTCOME_WORDS: Mapping[str, str] = {
    "well": "every request answered",
    "unwell": "not every request answered",
    "expired": "results gone at Gemini",
    **{one: f"with {one} requests" for one in WANTED_OUTCOMES[3:]},
}


@dataclass(frozen=True)
class BatchSearch:
    """A list of batches that somebody asks for."""

    wanted: BatchFilter
    cursor: str  # of the page before; empty on the first one
    # Goes on looking for the text among the keys of results; empty at the newest batch, None where
    # nobody asks for that.
    key_cursor: str | None
    fields: Mapping[str, str]  # of the address, without empty ones
    faults: Sequence[str]  # what of the address says nothing that can be looked for

    @property
    def is_filtered(self) -> bool:
        """Whether it asks for less than all."""
        return any(name != "sort" for name in self.fields)

    @property
    def is_narrowed(self) -> bool:
        """Whether it uses more than the text and the state."""
        return any(name not in {"q", "state"} for name in self.fields)

    def address(self, **changes: str) -> str:
        """Of this list with other fields, from its first page on; an empty text drops a field."""
        changed = {**self.fields, **changes}
        query = urlencode({name: text for name, text in changed.items() if text})
        return f"{LIST}?{query}" if query else LIST

    def describe(self) -> Iterator[str]:
        """What is looked for, in words."""
        wanted, fields = self.wanted, self.fields
        if wanted.text:
            yield f"“{wanted.text}” in the name, the id or the cause"
        if wanted.state:
            yield f"state {STATES[wanted.state]}"
        if wanted.outcome:
            yield OUTCOME_WORDS[wanted.outcome]
        if wanted.project is not None:
            yield f"project {wanted.project or DEFAULT}"
        if wanted.model:
            yield f"a model with “{wanted.model}” in its name"
        if "from" in fields:
            yield f"not before {fields['from']}"
        if "to" in fields:
            yield f"not after {fields['to']}"


def read_search(params: Mapping[str, str]) -> BatchSearch:
    """The parameters of an address. What can't be understood is left out, and named in `faults`."""
    given = {name: params.get(name, "").strip()[:MAX_FIELD] for name in FIELDS}
    reader = _Reader({name: text for name, text in given.items() if text})
    state: Any = reader.choose("state", get_args(State)) or None
    order: Any = reader.choose("sort", get_args(Order)) or "newest"
    wanted = BatchFilter(
        text=" ".join(given["q"].split()),
        state=state,
        outcome=reader.choose("outcome", WANTED_OUTCOMES),
        project=reader.read_project(),
        model=given["model"],
        since_ms=reader.read_day("from", FIRST_MS),
        until_ms=reader.read_day("to", LAST_MS, of_end=True),
        order=order,
    )
    keys = params.get("keys")
    return BatchSearch(
        wanted=wanted,
        cursor=params.get("after", ""),
        key_cursor="" if keys == START else keys,
        fields=reader.fields,
        faults=reader.faults,
    )


class _Reader:
    """Reads fields, and drops those that it can't."""

    def __init__(self, fields: dict[str, str]) -> None:
        self.fields, self.faults = fields, list[str]()

    def choose(self, name: str, choices: Sequence[str]) -> str:
        """One of the choices, or an empty text."""
        text = self.fields.get(name, "")
        return text if text in choices else self._drop(name, f"is none of {', '.join(choices)}")

    def read_project(self) -> str | None:
        """The name of a project, or None for all of them."""
        label = self.fields.get("project", "")
        if not PROJECT.fullmatch(label):
            self._drop("project", "is no name of a project")
            return None
        return "" if label == DEFAULT else label

    def read_day(self, name: str, default_ms: int, *, of_end: bool = False) -> int:
        """A day in UTC, or a moment."""
        text = self.fields.get(name, "")
        moment_ms = formatting.read_moment(text)
        if moment_ms is None:
            self._drop(name, "is no day such as 2026-01-31")
            return default_ms
        is_day = len(text) == len("2026-01-31")
        return moment_ms + DAY_MS - 1 if is_day and of_end else moment_ms

    def _drop(self, name: str, why: str) -> str:
        if text := self.fields.pop(name, ""):
            self.faults.append(f"{name} {why}: {text}")
        return ""
