"""Gemini projects: each has its own API key, webhook secrets, audience and webhook endpoint.

Variables without a suffix belong to the default project; `__ACME` after their names makes a
project `acme`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from receiver.settings.environment import Reader, Variable, setting, variables_of
from receiver.settings.limits import DEFAULT_LIMITS, SendingLimits
from receiver.settings.parsers import parse_api_key, parse_optional, parse_secrets
from receiver.settings.suffixes import NO_SUFFIX, find_suffixes
from receiver.verification.keys import Secret

API_KEY, SECRET, AUDIENCE = "GEMINI_API_KEY", "GEMINI_WEBHOOK_SECRET", "GEMINI_WEBHOOK_AUDIENCE"
OTHER_SECRET = "WEBHOOK_SIGNING_SECRET"  # noqa: S105 - a name
DEFAULT = NO_SUFFIX  # how a person names the project without a suffix
WEBHOOK_PATH = "/webhooks/gemini"


@dataclass(frozen=True)
class Project:
    """One Gemini project. Its secrets stay out of `repr`."""

    name: str  # "acme"; empty for the default project
    api_key: str = setting(
        API_KEY,
        parse_api_key,
        "API key of the Gemini project; `GOOGLE_API_KEY` is read when it is unset",
        shown="required without a named project",
        missing="create a key at https://aistudio.google.com/apikey and set it",
        aliases=("GOOGLE_API_KEY",),
        is_secret=True,
    )
    # Of its registered webhooks.
    secrets: tuple[Secret, ...] = setting(
        SECRET,
        parse_secrets,
        "signing secret of the registered webhook (`whsec_…`); several, separated by spaces or"
        " commas, during a rotation; `WEBHOOK_SIGNING_SECRET` is read when it is unset",
        aliases=(OTHER_SECRET,),
        is_secret=True,
    )
    audience: str | None = setting(
        AUDIENCE,
        parse_optional,
        "`aud` that a dynamic webhook's JWT must carry; unset refuses JWTs",
    )
    limits: SendingLimits = DEFAULT_LIMITS

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


VARIABLES = tuple(variables_of(Project).values())
_NAMES = tuple(name for variable in VARIABLES for name in variable.names)
# Other ways to set them, for the lists that people read.
FORMS = (
    Variable(
        f"{API_KEY}__NAME",
        str,
        "API key of one more Gemini project, served at `/webhooks/gemini/name`;"
        " `GEMINI_WEBHOOK_SECRET__NAME` and `GEMINI_WEBHOOK_AUDIENCE__NAME` are its own too",
    ),
    Variable(
        f"{API_KEY}_FILE",
        str,
        "file that holds the key, in place of `GEMINI_API_KEY`; so can"
        " `GEMINI_WEBHOOK_SECRET_FILE`, `REDIS_URL_FILE` and, for a project,"
        " `GEMINI_API_KEY_FILE__NAME`",
    ),
)


def variable_of(name: str, project: str) -> str:
    """What a variable is called for a project.

    >>> variable_of("GEMINI_API_KEY", "acme"), variable_of("GEMINI_API_KEY", "")
    ('GEMINI_API_KEY__ACME', 'GEMINI_API_KEY')
    """
    return f"{name}__{project.upper()}" if project else name


def read_projects(reader: Reader) -> Mapping[str, Mapping[str, Any]]:
    """The fields of each project by its name, wrong ones left out.

    What is wrong goes to `reader.problems`, as does a lack of any project.
    """
    names, is_any_stated = find_suffixes(reader, _NAMES, "project", f"{API_KEY}__ACME")
    if reader.text(*_NAMES) or not is_any_stated:
        names = ["", *names]

    projects = {name: reader.read(Project, variable_of("", name)) for name in names}
    _refuse_shared(reader, projects)
    return projects


def _refuse_shared(reader: Reader, projects: Mapping[str, Mapping[str, Any]]) -> None:
    """What proves a delivery to one project must prove none to another."""
    seen: dict[Secret | str, str] = {}  # what proves a delivery, and the variable that holds it
    for project, values in projects.items():
        variable = reader.stated(variable_of(SECRET, project), variable_of(OTHER_SECRET, project))
        held: dict[Secret | str, str] = dict.fromkeys(values.get("secrets", ()), variable)
        if values.get("audience"):
            held[values["audience"]] = variable_of(AUDIENCE, project)

        for value, variable in held.items():
            if value in seen:
                reader.problems.append(
                    f"{variable}: the same value is in {seen[value]}; each project needs its own"
                )
        seen |= held
