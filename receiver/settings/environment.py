"""Reads settings from environment variables, and gathers what is wrong with all of them.

A setting is defined once, at the field that it fills; `--help`, the README's table and the search
for misspelt names come from there:

    port: int = setting("PORT", parse_port, "port that `serve` listens on", default="8000")
"""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from receiver.errors import LayoutError
from receiver.settings.secret_files import read_secret_files


@dataclass(frozen=True)
class Variable:
    """The definition of one setting.

    `parse` reads the text. `check` then gets the result and the values of the fields in `needs`,
    and gives the final value; it is not called where one of them is wrong, since that one is to
    blame. Both raise ValueError or LayoutError with what was expected, and never quote a secret.
    """

    name: str
    parse: Callable[[str], Any]
    meaning: str
    unset: str = ""  # the text that is parsed where the variable is not set
    default: str = "none"  # what applies then, for people
    missing: str = ""  # what to do about a missing one; empty where it may be missing
    aliases: tuple[str, ...] = ()  # other names, read in this order where `name` is not set
    is_secret: bool = False  # then a file may hold it
    check: Callable[..., Any] | None = None
    needs: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All names that are read."""
        return (self.name, *self.aliases)


def setting(  # noqa: PLR0913 - all but three by name
    name: str,
    parse: Callable[[str], Any],
    meaning: str,
    *,
    default: str = "",
    shown: str = "",
    hides_itself: bool = False,
    **options: Any,
) -> Any:
    """A field of a dataclass that a variable fills.

    A secret stays out of `repr`, unless the type of the field `hides_itself`.
    `default` is parsed where the variable is not set, and `shown` is said of that in its place.
    """
    variable = Variable(
        name, parse, meaning, unset=default, default=shown or default or "none", **options
    )
    is_shown = hides_itself or not variable.is_secret
    return dataclasses.field(repr=is_shown, metadata={"variable": variable})


def variables_of(cls: type) -> dict[str, Variable]:
    """The definitions in a dataclass, by the fields that they fill."""
    fields = dataclasses.fields(cls)
    return {one.name: one.metadata["variable"] for one in fields if "variable" in one.metadata}


class Reader:
    """Reads variables; `problems` gets one line for each wrong one, without its value.

    `environ` has the secrets that files hold as if the variables themselves were set.
    """

    def __init__(self, environ: Mapping[str, str], secrets: Collection[str]) -> None:
        """`secrets` are the names of the variables that a file may hold."""
        found = read_secret_files(environ, secrets)
        self.environ = found.environ
        self.problems = list(found.problems.values())
        self._unreadable = found.problems.keys()
        self._files = found.files

    def text(self, *names: str) -> str:
        """The value of the first of the variables that is not blank; empty where all are."""
        values = (self.environ.get(name, "").strip() for name in names)
        return next((value for value in values if value), "")

    def stated(self, *names: str) -> str:
        """The variable that a person has set, of those that `text` reads; else the first."""
        name = next((name for name in names if self.environ.get(name, "").strip()), names[0])
        return self._files.get(name, name)

    def read(
        self, cls: type, suffix: str = "", known: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The values of the fields of `cls` that have a definition; wrong ones are left out.

        `suffix` is what follows the variables' names, such as `__ACME`. `known` are values of other
        fields that `needs` may name.
        """
        variables, values = variables_of(cls), dict[str, Any]()

        for field, variable in variables.items():
            names = [name + suffix for name in variable.names]
            if self._unreadable.isdisjoint(names):  # else `problems` has it already
                with self._gather_problem(names):
                    values[field] = variable.parse(self._require_text(variable, names))

        for field, variable in variables.items():
            at_hand = {**(known or {}), **values}
            if variable.check and at_hand.keys() >= {field, *variable.needs}:
                needed = [at_hand[name] for name in variable.needs]
                with self._gather_problem([name + suffix for name in variable.names]):
                    values[field] = variable.check(values.pop(field), *needed)

        return values

    @contextmanager
    def _gather_problem(self, names: Sequence[str]) -> Iterator[None]:
        try:
            yield
        except (ValueError, LayoutError) as error:
            self.problems.append(f"{self.stated(*names)}: {error}")

    def _require_text(self, variable: Variable, names: Sequence[str]) -> str:
        text = self.text(*names) or variable.unset
        if variable.missing and not text:
            others = "".join(f" (or {name})" for name in names[1:])
            raise ValueError(f"is missing; {variable.missing}{others}")
        return text
