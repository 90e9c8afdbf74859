"""All settings: each is defined once, at its field, and read once, at the start.

The program starts with all of them right or not at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from receiver.errors import SettingsError, UnknownProjectError
from receiver.outputs.forms import Form, parse_forms
from receiver.outputs.paths import Template
from receiver.outputs.prices import Prices
from receiver.outputs.proof_keys import ProofKey
from receiver.retry import Patience
from receiver.settings.environment import Reader, setting, variables_of
from receiver.settings.limits import VARIABLES as LIMIT_VARIABLES
from receiver.settings.limits import SendingLimits, read_limits
from receiver.settings.notice_targets import FORMS as TARGET_FORMS
from receiver.settings.notice_targets import VARIABLES as TARGET_VARIABLES
from receiver.settings.notice_targets import NoticeSettings, read_notices
from receiver.settings.parsers import (
    parse_choice,
    parse_key_pattern,
    parse_optional,
    parse_port,
    parse_prices_file,
    parse_processes,
    parse_proof_key,
    parse_result_key,
    parse_seconds,
    parse_storage_url,
    parse_switch,
    parse_token,
    parse_version,
    require_own_token,
)
from receiver.settings.projects import API_KEY, DEFAULT, FORMS, Project, read_projects
from receiver.settings.projects import VARIABLES as PROJECT_VARIABLES
from receiver.settings.proxies import ProxySettings
from receiver.settings.redis_urls import parse_ca_file, parse_redis_url, with_tls
from receiver.settings.response_schemas import parse_response_schema, require_json_form
from receiver.settings.unknown_variables import KnownNames
from receiver.settings.web_urls import (
    complete_jwks_url,
    parse_api_url,
    parse_jwks_url,
    parse_origin,
)

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
LOG_FORMATS = ("auto", "json", "text")


@dataclass(frozen=True)
class Settings:
    """What the processes run with. Secrets stay out of `repr`."""

    projects: Mapping[str, Project]  # by name, the default project's is ""; at least one
    notices: NoticeSettings
    base_url: str = setting(
        "GEMINI_BASE_URL",
        parse_api_url,
        "where the Gemini API is; https, or http on loopback",
        default="https://generativelanguage.googleapis.com",
    )
    api_version: str = setting(
        "GEMINI_API_VERSION", parse_version, "version segment of the API's paths", default="v1beta"
    )
    jwks_url: str = setting(
        "GEMINI_JWKS_URL",
        parse_jwks_url,
        "key set that proves dynamic webhooks",
        shown="GEMINI_BASE_URL/.well-known/jwks.json",
        check=complete_jwks_url,
        needs=("base_url",),
    )
    # An origin: without a path.
    public_url: str | None = setting(
        "PUBLIC_URL",
        parse_origin,
        "where Gemini reaches the web process, such as `https://batches.example.com`, without a"
        " path: `webhooks create` and `doctor` take it, and the web process checks that each"
        " project's webhook is there",
    )
    # With the TLS options of its connections; may hold a password.
    redis_url: str = setting(
        "REDIS_URL",
        parse_redis_url,
        "Redis or Valkey that holds the inbox",
        default="redis://127.0.0.1:6379/0",
        is_secret=True,
        check=with_tls,
        needs=("redis_ca_file", "redis_tls_verify"),
    )
    redis_ca_file: str | None = setting(
        "REDIS_CA_FILE",
        parse_ca_file,
        "PEM file of the private CA that signed the certificate of a `rediss://` address",
    )
    redis_tls_verify: bool = setting(
        "REDIS_TLS_VERIFY",
        parse_switch,
        "`false` leaves the certificate of a `rediss://` address unchecked: for self-signed"
        " ones such as Heroku's",
        default="true",
    )
    storage_url: str = setting(
        "STORAGE_URL",
        parse_storage_url,
        "where outputs go: `file:`, `s3://`, `gs://` or `az://`",
        default="file:outputs",
    )
    # `up` finds its folder before there are settings: see dotenv_loading.
    data_folder: str = setting(
        "DATA_FOLDER",
        str,
        "folder of what `up` runs; where it has run, other commands find its Valkey and its outputs"
        " there when REDIS_URL and STORAGE_URL are unset",
        default="gemini-batch-data",
    )
    key_pattern: str | None = setting(
        "KEY_PATTERN",
        parse_key_pattern,
        "regular expression on the key; its named groups are template fields",
    )
    template: Template = setting(
        "OUTPUT_TEMPLATE",
        str,
        "name of an output below STORAGE_URL",
        default="{batch}/{key}.json",
        check=Template.parse,
        needs=("key_pattern",),
    )
    # Empty for `key`.
    result_key: str = setting(
        "RESULT_KEY",
        parse_result_key,
        "member that holds the key of a request, such as `request_id`, in a line's `metadata`"
        " or beside it; a line that lacks it has its usual key",
        default="key",
    )
    prices: Prices = setting(
        "PRICES_FILE",
        parse_prices_file,
        "JSON file with the prices of tokens, in place of the built-in list",
        shown="the built-in list",
    )
    # Without raw.
    forms: tuple[Form, ...] = setting(
        "OUTPUT_FORMS",
        parse_forms,
        "what is written of every answer, separated by commas: `raw` (always), `text`,"
        " `thoughts`, `json`, `media`, `table`",
        default="raw",
    )
    response_schema: dict[str, Any] | None = setting(
        "RESPONSE_SCHEMA",
        parse_response_schema,
        "JSON Schema that the form `json` is checked against: the name of a file, or the schema"
        " itself",
        check=require_json_form,
        needs=("forms",),
    )
    # None: manifests are not signed.
    proof_key: ProofKey | None = setting(
        "PROOF_KEY",
        parse_proof_key,
        "key that workers sign manifests with, 32 bytes in base64, such as"
        " `openssl rand -base64 32` gives",
        is_secret=True,
    )
    scratch_dir: str | None = setting(
        "SCRATCH_DIR",
        parse_optional,
        "local folder for results on their way to the storage",
        shown="the system's temporary folder",
    )
    retry_base_s: float = setting(
        "RETRY_BASE_S",
        parse_seconds,
        "seconds before the first retry; after a fault of the batch each further one waits four"
        " times longer, after a fault of others twice, up to 15 minutes",
        default="5",
    )
    outage_patience_s: float = setting(
        "OUTAGE_PATIENCE_S",
        parse_seconds,
        "seconds that a batch waits through faults of Gemini, the network, the storage or a key"
        " before it is buried; a seventh of it where Gemini keeps saying that there is no such"
        " thing",
        default="604800",
    )
    reconcile_interval_s: float = setting(
        "RECONCILE_INTERVAL_S",
        parse_seconds,
        "seconds between two searches of Gemini's list of batches for what was missed; 0 turns them"
        " off",
        default="900",
    )
    host: str = setting(
        "HOST", str, "address that `serve` listens on; 0.0.0.0 on a PaaS", default="127.0.0.1"
    )
    port: int = setting("PORT", parse_port, "port that `serve` listens on", default="8000")
    web_concurrency: int = setting(
        "WEB_CONCURRENCY",
        parse_processes,
        "processes of `serve` that share its port; one is enough for most",
        default="1",
    )
    metrics_token: str = setting(
        "METRICS_TOKEN",
        parse_token,
        "token that `GET /metrics` asks for, 16 characters or more; unset turns it off",
        is_secret=True,
    )
    status_token: str = setting(
        "STATUS_TOKEN",
        parse_token,
        "token that the status page asks for, 16 characters or more; unset turns it off",
        is_secret=True,
    )
    status_answers: bool = setting(
        "STATUS_ANSWERS",
        parse_switch,
        "`true` lets the status page show and download requests and answers",
        default="false",
    )
    api_token: str = setting(
        "API_TOKEN",
        parse_token,
        "token that the API for programs asks for, 16 characters or more; unset turns it off",
        is_secret=True,
        check=require_own_token,
        needs=("metrics_token",),
    )
    log_level: str = setting(
        "LOG_LEVEL",
        partial(parse_choice, LOG_LEVELS),
        "DEBUG, INFO, WARNING or ERROR",
        default="INFO",
    )
    log_format: str = setting(
        "LOG_FORMAT",
        partial(parse_choice, LOG_FORMATS),
        "`json`, `text` for people, or `auto`: text on a terminal, JSON anywhere else",
        default="auto",
    )
    unknown: tuple[str, ...] = ()  # warnings of variables that look like settings and are none

    @property
    def patience(self) -> Patience:
        """How long a batch waits for its retries."""
        return Patience(self.retry_base_s, self.outage_patience_s)

    def project(self, name: str) -> Project:
        """The project of that name.

        Raises UnknownProjectError, retryable: another worker may know it, or this one after a
        restart.
        """
        if name not in self.projects:
            known = ", ".join(project.label for project in self.projects.values())
            variable = f"{API_KEY}__{name.upper()}" if name else API_KEY
            raise UnknownProjectError(
                f"the project {name or DEFAULT} is not known here, only {known}: set {variable} and"
                " restart"
            )
        return self.projects[name]


_SHARED = tuple(variables_of(Settings).values())
_OF_NOTICES = tuple(variables_of(NoticeSettings).values())
_OTHERS = tuple(variables_of(ProxySettings).values())  # the same for many programs
_OF_PROJECTS = (*PROJECT_VARIABLES, *LIMIT_VARIABLES)
_ALL = (*_OF_PROJECTS, *TARGET_VARIABLES, *_OF_NOTICES, *_SHARED)
# As `--help` and the README list them.
VARIABLES = (
    *(*PROJECT_VARIABLES, *FORMS, *LIMIT_VARIABLES),
    *_SHARED,
    *(*TARGET_VARIABLES, *TARGET_FORMS, *_OF_NOTICES),
    *_OTHERS,
)
SECRETS = frozenset(name for one in _ALL if one.is_secret for name in one.names)
_KNOWN = KnownNames(
    settings=frozenset(name for one in _ALL for name in one.names),
    of_projects=frozenset(name for one in _OF_PROJECTS for name in one.names),
    of_targets=frozenset(name for one in TARGET_VARIABLES for name in one.names),
    secrets=SECRETS,
)


def read_settings(environ: Mapping[str, str], **overrides: Any) -> Settings:
    """The settings that `environ` describes; `overrides` are fields given on a command line.

    Raises SettingsError naming every variable that is missing or wrong, with what was expected.
    """
    reader = Reader(environ, SECRETS)
    projects = read_projects(reader)
    limits = read_limits(reader, projects)
    values = reader.read(Settings)
    notices = read_notices(reader, values.get("redis_url", ""))
    reader.read(ProxySettings)
    unknown = _KNOWN.find_unknown(environ)

    problems = [*reader.problems, *(one.text for one in unknown if one.is_typo)]
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise SettingsError(f"these settings are wrong or missing:\n{lines}")

    values |= {
        "projects": {
            name: Project(name=name, limits=SendingLimits(**limits[name]), **fields)
            for name, fields in projects.items()
        },
        "notices": NoticeSettings(**notices),
        "unknown": tuple(one.text for one in unknown),
    }
    return Settings(**(values | overrides))
