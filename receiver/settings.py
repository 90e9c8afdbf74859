"""Settings, read once from the environment; the program starts with all of them right or not at all."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

from receiver.errors import LayoutError, SettingsError
from receiver.layout import Template
from receiver.redis_urls import parse_ca_file, parse_redis_url, with_tls
from receiver.signatures import Secret

DEFAULT_BASE_URL = "https://generativelanguage.googleapis.com"
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
STORAGE_SCHEMES = ("file", "s3", "gs", "az")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_PORT = 65535


@dataclass(frozen=True)
class Variable:
    """One setting as a user meets it: `--help` and the README are tested against this list."""

    name: str
    default: str
    meaning: str


VARIABLES = (
    Variable("GEMINI_API_KEY", "required", "API key of the Gemini project; `GOOGLE_API_KEY` is read when it is unset"),
    Variable(
        "GEMINI_WEBHOOK_SECRET",
        "none",
        "signing secret of the registered webhook (`whsec_…`); several, separated by spaces or commas, during a"
        " rotation; `WEBHOOK_SIGNING_SECRET` is read when it is unset",
    ),
    Variable("GEMINI_BASE_URL", DEFAULT_BASE_URL, "where the Gemini API is; https, or http on loopback"),
    Variable("GEMINI_API_VERSION", "v1beta", "version segment of the API's paths"),
    Variable("GEMINI_JWKS_URL", "GEMINI_BASE_URL/.well-known/jwks.json", "key set that proves dynamic webhooks"),
    Variable("GEMINI_WEBHOOK_AUDIENCE", "none", "`aud` that a dynamic webhook's JWT must carry; unset refuses JWTs"),
    Variable("REDIS_URL", "redis://127.0.0.1:6379/0", "Redis or Valkey that holds the inbox"),
    Variable(
        "REDIS_CA_FILE", "none", "PEM file of the private CA that signed the certificate of a `rediss://` address"
    ),
    Variable(
        "REDIS_TLS_VERIFY",
        "true",
        "`false` leaves the certificate of a `rediss://` address unchecked: for self-signed ones such as Heroku's",
    ),
    Variable("STORAGE_URL", "file:outputs", "where outputs go: `file:`, `s3://`, `gs://` or `az://`"),
    Variable("OUTPUT_TEMPLATE", "{batch}/{key}.json", "name of an output below STORAGE_URL"),
    Variable("KEY_PATTERN", "none", "regular expression on the key; its named groups are template fields"),
    Variable("SCRATCH_DIR", "the system's temporary folder", "local folder for results on their way to the storage"),
    Variable(
        "RETRY_BASE_S", "5", "seconds before the first retry after an error; each further one waits four times longer"
    ),
    Variable(
        "RECONCILE_INTERVAL_S",
        "900",
        "seconds between two looks at Gemini's list of batches for what was missed; 0 turns them off",
    ),
    Variable("HOST", "127.0.0.1", "address that `serve` listens on; 0.0.0.0 on a PaaS"),
    Variable("PORT", "8000", "port that `serve` listens on"),
    Variable("LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR"),
)


@dataclass(frozen=True)
class Settings:
    """What the processes run with. Secrets stay out of `repr`."""

    api_key: str = field(repr=False)
    secrets: tuple[Secret, ...] = field(repr=False)
    base_url: str  # no trailing slash
    api_version: str  # "v1beta"
    jwks_url: str
    audience: str | None  # `aud` of a dynamic webhook's JWT
    redis_url: str = field(repr=False)  # with the TLS options of its connections; may carry a password
    storage_url: str  # file:, s3://, gs:// or az://
    template: Template  # OUTPUT_TEMPLATE with KEY_PATTERN
    scratch_dir: str | None  # None: the system's temporary folder
    retry_base_s: float  # seconds
    reconcile_interval_s: float  # seconds; 0 is never
    host: str
    port: int
    log_level: str


T = TypeVar("T")


class _Reader:
    """Reads variables and gathers what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[str] = []

    def text(self, *names: str, default: str = "") -> str:
        values = (self.environ.get(name, "").strip() for name in names)
        return next((value for value in values if value), default)

    def parsed(self, parse: Callable[[str], T], fallback: T, *names: str, default: str = "") -> T:
        """`parse` raises ValueError with what was expected; the value itself is never quoted by us."""
        text = self.text(*names, default=default)
        try:
            return parse(text)
        except (ValueError, LayoutError) as error:
            self.problems.append(f"{names[0]}: {error}")
            return fallback


def _parse_key(text: str) -> str:
    if not text:
        raise ValueError(
            "is missing; create a key at https://aistudio.google.com/apikey and set it (or GOOGLE_API_KEY)"
        )
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be one word of printable ASCII; copy the key again")
    return text


def _parse_secrets(text: str) -> tuple[Secret, ...]:
    return tuple(Secret.parse(word) for word in re.split(r"[\s,]+", text) if word)


def _parse_http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("expected an address such as https://generativelanguage.googleapis.com")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError("expected https: the API key must not travel in clear (http is for loopback only)")
    return text.rstrip("/")


def _parse_version(text: str) -> str:
    if not re.fullmatch(r"v[0-9a-z]+", text):
        raise ValueError("expected a version such as v1 or v1beta")
    return text


def _parse_switch(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("expected true or false")
    return text.lower() == "true"


def _read_redis_url(reader: _Reader) -> str:
    """REDIS_URL with what the other two variables say about its certificate."""
    ca_file = reader.parsed(parse_ca_file, None, "REDIS_CA_FILE")
    verify = reader.parsed(_parse_switch, True, "REDIS_TLS_VERIFY", default="true")
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


def _parse_template(pattern: str) -> Callable[[str], Template]:
    return lambda text: Template.parse(text, pattern or None)


def read_settings(environ: Mapping[str, str], **overrides: Any) -> Settings:
    """The settings that `environ` describes; `overrides` are fields given on a command line.

    Raises SettingsError naming every variable that is missing or wrong, with what was expected.
    """
    reader = _Reader(environ)
    base_url = reader.parsed(_parse_http_url, DEFAULT_BASE_URL, "GEMINI_BASE_URL", default=DEFAULT_BASE_URL)
    jwks_default = f"{base_url}/.well-known/jwks.json"
    values: dict[str, Any] = {
        "api_key": reader.parsed(_parse_key, "", "GEMINI_API_KEY", "GOOGLE_API_KEY"),
        "secrets": reader.parsed(
            _parse_secrets, tuple[Secret, ...](), "GEMINI_WEBHOOK_SECRET", "WEBHOOK_SIGNING_SECRET"
        ),
        "base_url": base_url,
        "api_version": reader.parsed(_parse_version, "", "GEMINI_API_VERSION", default="v1beta"),
        "jwks_url": reader.parsed(_parse_http_url, "", "GEMINI_JWKS_URL", default=jwks_default),
        "audience": reader.text("GEMINI_WEBHOOK_AUDIENCE") or None,
        "redis_url": _read_redis_url(reader),
        "storage_url": reader.parsed(_parse_storage_url, "", "STORAGE_URL", default="file:outputs"),
        "template": reader.parsed(
            _parse_template(reader.text("KEY_PATTERN")), None, "OUTPUT_TEMPLATE", default="{batch}/{key}.json"
        ),
        "scratch_dir": reader.text("SCRATCH_DIR") or None,
        "retry_base_s": reader.parsed(_parse_seconds, 0.0, "RETRY_BASE_S", default="5"),
        "reconcile_interval_s": reader.parsed(_parse_seconds, 0.0, "RECONCILE_INTERVAL_S", default="900"),
        "host": reader.text("HOST", default="127.0.0.1"),
        "port": reader.parsed(_parse_port, 0, "PORT", default="8000"),
        "log_level": reader.parsed(_parse_level, "INFO", "LOG_LEVEL", default="INFO"),
    }
    if reader.problems:
        raise SettingsError(
            "these settings are wrong or missing:\n" + "\n".join(f"  {line}" for line in reader.problems)
        )
    return Settings(**(values | overrides))
