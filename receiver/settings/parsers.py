"""From the text of a variable to its value. Each raises ValueError with what was expected."""

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from receiver.outputs.prices import Prices, default_prices, parse_prices
from receiver.outputs.proof_keys import ProofKey
from receiver.outputs.templates import parse_pattern
from receiver.verification.keys import Secret

STORAGE_SCHEMES = ("file", "s3", "gs", "az")
MAX_FILE_BYTES = 1024 * 1024
MAX_PORT = 65535
MAX_PROCESSES = 99
# Members of a result line in Gemini's or OpenAI's form, none of which can hold a key.
LINE_MEMBERS = ("response", "error", "metadata", "request", "body")


def parse_optional(text: str) -> str | None:
    return text or None


def parse_choice(choices: Sequence[str], text: str) -> str:
    """One of the choices, in whatever case it is written."""
    for choice in choices:
        if choice.lower() == text.lower():
            return choice
    raise ValueError(f"expected one of {', '.join(choices)}")


def parse_switch(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("expected true or false")
    return text.lower() == "true"


def parse_port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= MAX_PORT):
        raise ValueError(f"expected a number from 1 to {MAX_PORT}")
    return int(text)


def parse_processes(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= MAX_PROCESSES):
        raise ValueError(f"expected a number from 1 to {MAX_PROCESSES}")
    return int(text)


def parse_seconds(text: str) -> float:
    if not re.fullmatch(r"\d{1,6}(\.\d{1,3})?", text):
        raise ValueError("expected seconds such as 5 or 0.5")
    return float(text)


def parse_token(text: str) -> str:
    """The token that a caller must send in a header; empty for none."""
    if text and not re.fullmatch(r"[!-~]{16,}", text):
        raise ValueError(
            "expected at least 16 characters without spaces, such as `openssl rand -hex 32` gives"
        )
    return text


def require_own_token(token: str, metrics_token: str) -> str:
    """One that a scraper of metrics does not hold; the status page's may spend as well."""
    if token and token == metrics_token:
        raise ValueError(
            "it is also METRICS_TOKEN: whoever reads metrics could submit and spend as well; make"
            " one of its own, such as `openssl rand -hex 32` gives"
        )
    return token


def parse_api_key(text: str) -> str:
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be one word of printable ASCII; copy the key again")
    return text


def parse_secrets(text: str) -> tuple[Secret, ...]:
    """Signing secrets, separated by spaces or commas; none for no text."""
    return tuple(Secret.parse(word) for word in split_words(text))


def split_words(text: str) -> list[str]:
    """The words of a list that is separated by spaces or commas."""
    return [word for word in re.split(r"[\s,]+", text) if word]


def parse_version(text: str) -> str:
    if not re.fullmatch(r"v[0-9a-z]+", text):
        raise ValueError("expected a version such as v1 or v1beta")
    return text


def parse_storage_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in STORAGE_SCHEMES or not (parts.netloc or parts.path):
        raise ValueError(
            "expected file:/path/to/folder, s3://bucket/prefix, gs://bucket/prefix or"
            " az://container/prefix"
        )
    if parts.scheme == "file" and parts.netloc not in ("", "localhost"):
        if "@" in text:  # there may be a password in front of it
            raise ValueError("file URLs name no user and no host: expected file:/path/to/folder")
        raise ValueError(f"file URLs name no host: did you mean file:{parts.netloc}{parts.path}?")
    if parts.scheme != "file" and not parts.netloc:
        raise ValueError(f"expected a bucket: {parts.scheme}://bucket/prefix")
    return text


def parse_key_pattern(text: str) -> str | None:
    """KEY_PATTERN as it is. Raises LayoutError where it is no usable regular expression."""
    parse_pattern(text or None)
    return text or None


def parse_result_key(text: str) -> str:
    if text in LINE_MEMBERS:
        raise ValueError(
            f"{text} holds no key: expected the name of a member of your own, such as request_id"
        )
    return "" if text == "key" else text


def parse_prices_file(text: str) -> Prices:
    return parse_prices(read_setting_file(text)) if text else default_prices()


def parse_proof_key(text: str) -> ProofKey | None:
    return ProofKey.parse(text) if text else None


def read_setting_file(name: str) -> bytes:
    """The whole of a JSON file that a setting names, of at most 1 MiB."""
    try:
        with Path(name).open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ValueError("expected the name of a JSON file; this one can't be read") from error
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"the file is longer than {MAX_FILE_BYTES} bytes: name a smaller one")
    return data
