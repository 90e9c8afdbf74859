"""What `init` asks for, and how each answer is checked."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from receiver.errors import SettingsError, UnfitRedisError
from receiver.gemini.batches import Gemini
from receiver.inbox.redis import connect, translate_redis_errors
from receiver.inbox.redis_health import examine, find_write_obstacle
from receiver.service.valkey import has_valkey
from receiver.settings.environment import Reader, variables_of
from receiver.settings.parsers import parse_api_key, parse_storage_url
from receiver.settings.projects import VARIABLES as PROJECT_VARIABLES
from receiver.settings.secret_files import file_variable
from receiver.settings.settings import SECRETS, Settings
from receiver.settings.web_urls import parse_origin
from receiver.storage import open_storage
from receiver.storage.probe import probe_storage

BASE_URL = "GEMINI_BASE_URL"
VARIABLES = {one.name: one for one in (*PROJECT_VARIABLES, *variables_of(Settings).values())}
DEFAULTS = {field: one.unset for field, one in variables_of(Settings).items()}


@dataclass(frozen=True)
class Question:
    variable: str
    option: str
    text: str
    parse: Callable[[str], object]  # raises ValueError or SettingsError
    check: Callable[[str], None] | None  # whether it works; raises ReceiverError
    default: str | None  # an empty one leaves the variable unset; None: there must be an answer
    is_secret: bool = False

    @property
    def other_variables(self) -> list[str]:
        """Further variables that answer it: for a file that holds the secret, or by another name.

        >>> plan_questions()[0].other_variables
        ['GOOGLE_API_KEY', 'GEMINI_API_KEY_FILE', 'GOOGLE_API_KEY_FILE']
        """
        variable = VARIABLES[self.variable]
        files = [file_variable(name) for name in variable.names] if variable.is_secret else []
        return [*variable.aliases, *files]


def plan_questions() -> tuple[Question, ...]:
    """In the order in which they are asked."""
    is_embedded = has_valkey()
    redis_text = "REDIS_URL of your Redis or Valkey"
    return (
        Question(
            "GEMINI_API_KEY",
            "--api-key",
            "Gemini API key (https://aistudio.google.com/apikey)",
            _parse_key,
            _check_key,
            None,
            is_secret=True,
        ),
        Question(
            "REDIS_URL",
            "--redis-url",
            f"{redis_text}; Enter for one that `up` runs here" if is_embedded else redis_text,
            _parse_redis,
            _check_redis,
            "" if is_embedded else DEFAULTS["redis_url"],
        ),
        Question(
            "STORAGE_URL",
            "--storage-url",
            "STORAGE_URL, where answers go: file:FOLDER, s3://BUCKET/PREFIX, gs://… or az://…",
            parse_storage_url,
            lambda url: probe_storage(open_storage(url)),
            DEFAULTS["storage_url"],
        ),
        Question(
            "PUBLIC_URL",
            "--public-url",
            "PUBLIC_URL, the https address that Gemini reaches; Enter if there is none yet",
            parse_origin,
            None,
            "",
        ),
    )


def _parse_key(text: str) -> None:
    if not parse_api_key(text):
        raise ValueError("there must be a key")


def _parse_redis(text: str) -> str:
    """The URL with the TLS options that the environment has."""
    environ = os.environ | {"REDIS_URL": text}
    values = _read(environ, "REDIS_URL", "REDIS_CA_FILE", "REDIS_TLS_VERIFY")
    return str(values["redis_url"])


def find_base_url() -> str:
    """Where the key is tried, empty for the usual address. Raises SettingsError."""
    address = str(_read(os.environ, BASE_URL)["base_url"])
    return "" if address == DEFAULTS["base_url"] else address


def _check_key(key: str) -> None:
    values = _read(os.environ, BASE_URL, "GEMINI_API_VERSION")
    with Gemini(values["base_url"], key, values["api_version"]) as gemini:
        gemini.measure_clock_offset_s()


def _read(environ: Mapping[str, str], *names: str) -> dict[str, Any]:
    """The settings by field. Raises SettingsError where one of these variables is wrong."""
    reader = Reader(environ, SECRETS)
    values = reader.read(Settings)
    problems = [one for one in reader.problems if one.startswith(tuple(f"{n}:" for n in names))]
    if problems:
        raise SettingsError("; ".join(problems))
    return values


def _check_redis(url: str) -> None:
    with connect(_parse_redis(url)) as client, translate_redis_errors():
        refusal = next((one.text for one in examine(client) if one.level == "refuse"), None)
        refusal = refusal or find_write_obstacle(client)
    if refusal:
        raise UnfitRedisError(refusal)
