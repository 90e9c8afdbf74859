"""Settings, read once from the environment; the program starts with all of them right or not at all."""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from receiver.errors import SettingsError, UnknownProjectError
from receiver.outputs.forms import Form, parse_forms
from receiver.outputs.paths import Template
from receiver.outputs.prices import Prices, default_prices, parse_prices
from receiver.outputs.proof_keys import ProofKey
from receiver.outputs.templates import parse_pattern
from receiver.retry import Patience
from receiver.settings.environment import Reader, parse_switch, parse_token
from receiver.settings.notice_targets import NoticeSettings, read_notice_settings
from receiver.settings.projects import API_KEY, DEFAULT, Project, read_projects
from receiver.settings.projects import VARIABLES as PROJECT_VARIABLES
from receiver.settings.redis_urls import parse_ca_file, parse_redis_url, with_tls
from receiver.settings.response_schemas import parse_response_schema
from receiver.settings.secret_files import MARK, SECRETS
from receiver.settings.setting_files import read_setting_file
from receiver.settings.unknown_variables import find_unknown
from receiver.settings.variables import DEFAULT_BASE_URL, VARIABLES
from receiver.settings.web_urls import parse_api_url, parse_origin

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
LOG_FORMATS = ("auto", "json", "text")
STORAGE_SCHEMES = ("file", "s3", "gs", "az")
MAX_PORT = 65535
_MEMBERS = (
    "response",
    "error",
    "metadata",
    "request",
    "body",
)  # of a line, by Gemini's or OpenAI's form


@dataclass(frozen=True)
class Settings:
    """What the processes run with. Secrets stay out of `repr`."""

    projects: Mapping[str, Project]  # by name, the default project's is ""; at least one
    base_url: str  # no trailing slash
    api_version: str  # "v1beta"
    jwks_url: str
    public_url: str | None  # origin of the web process as Gemini reaches it; None: not stated
    redis_url: str = field(
        repr=False
    )  # with the TLS options of its connections; may carry a password
    storage_url: str  # file:, s3://, gs:// or az://
    template: Template  # OUTPUT_TEMPLATE with KEY_PATTERN
    result_key: str  # RESULT_KEY; empty: `key`
    forms: tuple[Form, ...]  # OUTPUT_FORMS, raw left out
    response_schema: dict[str, Any] | None  # checked
    prices: Prices  # PRICES_FILE
    proof_key: ProofKey | None  # PROOF_KEY; None: manifests are not signed
    scratch_dir: str | None  # None: the system's temporary folder
    patience: Patience  # RETRY_BASE_S and OUTAGE_PATIENCE_S
    reconcile_interval_s: float  # seconds; 0 is never
    notices: NoticeSettings  # NOTIFY_… and SLACK_WEBHOOK_URL
    metrics_token: str = field(repr=False)  # empty: no metrics
    status_token: str = field(repr=False)  # empty: no status page
    host: str
    port: int
    log_level: str
    log_format: str  # auto, json or text
    unknown: tuple[str, ...] = ()  # what is said of variables that look like settings and are none

    def project(self, name: str) -> Project:
        """Raises UnknownProjectError, retryable: another worker may know it, or this one after a restart."""
        if name not in self.projects:
            known = ", ".join(project.label for project in self.projects.values())
            variable = f"{API_KEY}__{name.upper()}" if name else API_KEY
            raise UnknownProjectError(
                f"the project {name or DEFAULT} is not known here, only {known}: set {variable} and restart"
            )
        return self.projects[name]


def _parse_version(text: str) -> str:
    if not re.fullmatch(r"v[0-9a-z]+", text):
        raise ValueError("expected a version such as v1 or v1beta")
    return text


def _read_redis_url(reader: Reader) -> str:
    """REDIS_URL with what the other two variables say about its certificate."""
    ca_file = reader.parsed(parse_ca_file, None, "REDIS_CA_FILE")
    verify = reader.parsed(parse_switch, True, "REDIS_TLS_VERIFY", default="true")
    url = reader.parsed(parse_redis_url, "", "REDIS_URL", default="redis://127.0.0.1:6379/0")
    switch = "REDIS_TLS_VERIFY" if ca_file is None else "REDIS_CA_FILE"
    return url and reader.parsed(lambda _: with_tls(url, ca_file, verify=verify), "", switch)


def _parse_storage_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in STORAGE_SCHEMES or not (parts.netloc or parts.path):
        raise ValueError(
            "expected file:/path/to/folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
        )
    if parts.scheme == "file" and parts.netloc not in ("", "localhost"):
        raise ValueError(f"file URLs name no host: did you mean file:{parts.netloc}{parts.path}?")
    if parts.scheme != "file" and not parts.netloc:
        raise ValueError(f"expected a bucket: {parts.scheme}://bucket/prefix")
    return text


def _parse_port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= MAX_PORT):
        raise ValueError(f"expected a number from 1 to {MAX_PORT}")
    return int(text)


def _parse_seconds(text: str) -> float:
    if not re.fullmatch(r"\d{1,6}(\.\d{1,3})?", text):
        raise ValueError("expected seconds such as 5 or 0.5")
    return float(text)


def _parse_level(text: str) -> str:
    if text.upper() not in LOG_LEVELS:
        raise ValueError(f"expected one of {', '.join(LOG_LEVELS)}")
    return text.upper()


def _parse_log_format(text: str) -> str:
    if text.lower() not in LOG_FORMATS:
        raise ValueError(f"expected one of {', '.join(LOG_FORMATS)}")
    return text.lower()


def _parse_result_key(text: str) -> str:
    if text in _MEMBERS:
        raise ValueError(
            f"{text} holds no key: expected the name of a member of your own, such as request_id"
        )
    return "" if text == "key" else text


def _read_forms(reader: Reader) -> dict[str, Any]:
    """OUTPUT_FORMS and RESPONSE_SCHEMA; where the first is wrong, the second is not blamed for it."""
    forms = reader.parsed(parse_forms, None, "OUTPUT_FORMS", default="raw")

    def parse_schema(text: str) -> dict[str, Any] | None:
        if text and forms is not None and "json" not in forms:
            raise ValueError("it is of use only where OUTPUT_FORMS has json")
        return parse_response_schema(text) if text else None

    return {"forms": forms, "response_schema": reader.parsed(parse_schema, None, "RESPONSE_SCHEMA")}


def _parse_prices_file(text: str) -> Prices:
    return parse_prices(read_setting_file(text)) if text else default_prices()


def _parse_proof_key(text: str) -> ProofKey | None:
    return ProofKey.parse(text) if text else None


def _read_template(reader: Reader) -> Template | None:
    """OUTPUT_TEMPLATE with KEY_PATTERN; where the second is wrong, nobody knows which fields the first may have."""
    pattern, before = reader.text("KEY_PATTERN"), len(reader.problems)
    reader.parsed(lambda text: parse_pattern(text or None), None, "KEY_PATTERN")
    if len(reader.problems) > before:
        return None
    parse = functools.partial(Template.parse, key_pattern=pattern or None)
    return reader.parsed(parse, None, "OUTPUT_TEMPLATE", default="{batch}/{key}.json")


def _known_names() -> set[str]:
    """The settings without a suffix, and the other names that some have."""
    described = {variable.name.partition("__")[0] for variable in VARIABLES}
    return (described | {*PROJECT_VARIABLES, *SECRETS}) - {f"{name}{MARK}" for name in SECRETS}


def read_settings(environ: Mapping[str, str], **overrides: Any) -> Settings:
    """The settings that `environ` describes; `overrides` are fields given on a command line.

    Raises SettingsError naming every variable that is missing or wrong, with what was expected.
    """
    reader = Reader(environ)
    unknown = find_unknown(environ, _known_names(), PROJECT_VARIABLES)
    base_url = reader.parsed(
        parse_api_url, DEFAULT_BASE_URL, "GEMINI_BASE_URL", default=DEFAULT_BASE_URL
    )
    jwks_default = f"{base_url}/.well-known/jwks.json"
    values: dict[str, Any] = {
        "projects": read_projects(reader),
        "base_url": base_url,
        "api_version": reader.parsed(_parse_version, "", "GEMINI_API_VERSION", default="v1beta"),
        "jwks_url": reader.parsed(parse_api_url, "", "GEMINI_JWKS_URL", default=jwks_default),
        "public_url": reader.parsed(parse_origin, None, "PUBLIC_URL"),
        "redis_url": _read_redis_url(reader),
        "storage_url": reader.parsed(_parse_storage_url, "", "STORAGE_URL", default="file:outputs"),
        "template": _read_template(reader),
        "result_key": reader.parsed(_parse_result_key, "", "RESULT_KEY"),
        **_read_forms(reader),
        "prices": reader.parsed(_parse_prices_file, None, "PRICES_FILE"),
        "proof_key": reader.parsed(_parse_proof_key, None, "PROOF_KEY"),
        "scratch_dir": reader.text("SCRATCH_DIR") or None,
        "patience": Patience(
            reader.parsed(_parse_seconds, 0.0, "RETRY_BASE_S", default="5"),
            reader.parsed(_parse_seconds, 0.0, "OUTAGE_PATIENCE_S", default="604800"),
        ),
        "reconcile_interval_s": reader.parsed(
            _parse_seconds, 0.0, "RECONCILE_INTERVAL_S", default="900"
        ),
        "notices": read_notice_settings(reader),
        "metrics_token": reader.parsed(parse_token, "", "METRICS_TOKEN"),
        "status_token": reader.parsed(parse_token, "", "STATUS_TOKEN"),
        "host": reader.text("HOST", default="127.0.0.1"),
        "port": reader.parsed(_parse_port, 0, "PORT", default="8000"),
        "log_level": reader.parsed(_parse_level, "INFO", "LOG_LEVEL", default="INFO"),
        "log_format": reader.parsed(_parse_log_format, "auto", "LOG_FORMAT", default="auto"),
        "unknown": tuple(one.text for one in unknown if not one.is_typo),
    }
    reader.problems += [one.text for one in unknown if one.is_typo]
    if reader.problems:
        raise SettingsError(
            "these settings are wrong or missing:\n"
            + "\n".join(f"  {line}" for line in reader.problems)
        )
    return Settings(**(values | overrides))
