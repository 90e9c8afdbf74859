"""Gemini projects: each has an API key, webhook secrets and an audience of its own, and a webhook endpoint of its own.

The variables without a suffix are those of the default project; `__ACME` after their names makes a project `acme`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from receiver.batch_names import PROJECT
from receiver.settings.environment import Reader
from receiver.verification.signatures import Secret

API_KEY, SECRET, AUDIENCE = "GEMINI_API_KEY", "GEMINI_WEBHOOK_SECRET", "GEMINI_WEBHOOK_AUDIENCE"
OTHER_API_KEY, OTHER_SECRET = "GOOGLE_API_KEY", "WEBHOOK_SIGNING_SECRET"
VARIABLES = (API_KEY, OTHER_API_KEY, SECRET, OTHER_SECRET, AUDIENCE)
DEFAULT = "default"  # how a person names the project without a suffix
WEBHOOK_PATH = "/webhooks/gemini"


@dataclass(frozen=True)
class Project:
    """One Gemini project. Its secrets stay out of `repr`."""

    name: str  # "acme"; empty for the default project
    api_key: str = field(repr=False)
    secrets: tuple[Secret, ...] = field(repr=False)  # of its registered webhooks
    audience: str | None  # `aud` of its dynamic webhooks' JWTs

    @property
    def label(self) -> str:
        return self.name or DEFAULT

    @property
    def path(self) -> str:
        """Where its deliveries arrive."""
        return f"{WEBHOOK_PATH}/{self.name}" if self.name else WEBHOOK_PATH

    def variable(self, name: str) -> str:
        """What one of its variables is called."""
        return variable_of(name, self.name)


def variable_of(name: str, project: str) -> str:
    """What a variable is called for a project.

    >>> variable_of("GEMINI_API_KEY", "acme"), variable_of("GEMINI_API_KEY", "")
    ('GEMINI_API_KEY__ACME', 'GEMINI_API_KEY')
    """
    return f"{name}__{project.upper()}" if project else name


def read_projects(reader: Reader) -> Mapping[str, Project]:
    """The projects by name. What is wrong goes to `reader.problems`, as does a lack of any project."""
    names, is_any_stated = _stated_names(reader)
    if reader.text(*VARIABLES) or not is_any_stated:
        names = ["", *names]
    projects = {name: _read_project(reader, name) for name in names}
    _refuse_shared(reader, projects.values())
    return projects


def _stated_names(reader: Reader) -> tuple[list[str], bool]:
    """The right names among the suffixes, and whether there was any suffix."""
    parts = [
        (variable, *variable.partition("__"))
        for variable in sorted(reader.environ)
        if reader.text(variable)
    ]
    found = [
        (variable, suffix) for variable, name, mark, suffix in parts if name in VARIABLES and mark
    ]
    names = set[str]()
    for variable, suffix in found:
        name = suffix.lower()
        if suffix != suffix.upper() or not PROJECT.fullmatch(name):
            reader.problems.append(
                f"{variable}: after __ comes a project's name of up to 40 of A-Z, 0-9 and _, such as {API_KEY}__ACME"
            )
        elif name.endswith("_file"):
            reader.problems.append(
                f"{variable}: a project's suffix comes last, such as {API_KEY}_FILE__ACME"
            )
        elif name == DEFAULT:
            reader.problems.append(f"{variable}: the default project's variables have no suffix")
        else:
            names.add(name)
    return sorted(names), bool(found)


def _read_project(reader: Reader, name: str) -> Project:
    key, other_key = variable_of(API_KEY, name), variable_of(OTHER_API_KEY, name)
    secrets = (variable_of(SECRET, name), variable_of(OTHER_SECRET, name))
    return Project(
        name=name,
        api_key=reader.parsed(lambda text: _parse_key(text, other_key), "", key, other_key),
        secrets=reader.parsed(_parse_secrets, tuple[Secret, ...](), *secrets),
        audience=reader.text(variable_of(AUDIENCE, name)) or None,
    )


def _parse_key(text: str, other: str) -> str:
    if not text:
        raise ValueError(
            f"is missing; create a key at https://aistudio.google.com/apikey and set it (or {other})"
        )
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be one word of printable ASCII; copy the key again")
    return text


def _parse_secrets(text: str) -> tuple[Secret, ...]:
    return tuple(Secret.parse(word) for word in re.split(r"[\s,]+", text) if word)


def _refuse_shared(reader: Reader, projects: Iterable[Project]) -> None:
    """A secret or audience of one project must not be another's."""
    seen: dict[Secret | str, str] = {}  # a secret or audience, and the variable that holds it
    for project in projects:
        variable = reader.stated(project.variable(SECRET), project.variable(OTHER_SECRET))
        held: dict[Secret | str, str] = dict.fromkeys(project.secrets, variable)
        if project.audience:
            held[project.audience] = project.variable(AUDIENCE)
        for value, variable in held.items():
            if value in seen:
                reader.problems.append(
                    f"{variable}: the same value is in {seen[value]}; each project needs its own"
                )
        seen |= held
