"""Who is told: the targets of notices and how they are signed, from the environment."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from receiver.settings.environment import Reader, Variable, parse_switch
from receiver.settings.notice_addresses import find_refusal, parse_address
from receiver.settings.web_urls import DEFAULT_PORTS
from receiver.verification.keys import Secret

Kind = Literal["webhook", "slack"]
DEFAULT_BASE_S = 5.0
MAX_BASE_S = 30.0  # the whole schedule takes 19 days then, and a notice is kept for 30
DIGEST_CHARS = 12
NOTICE_VARIABLES = (
    Variable(
        "NOTIFY_URL",
        "none",
        "where signed notices of stored, failed, buried and overdue batches go: one address or several,"
        " separated by spaces or commas",
    ),
    Variable(
        "NOTIFY_SECRET",
        "required with NOTIFY_URL",
        "secret that notices are signed with (`whsec_…`, such as `echo whsec_$(openssl rand -base64 32)` gives);"
        " several during a rotation",
    ),
    Variable(
        "SLACK_WEBHOOK_URL",
        "none",
        "incoming webhook of Slack, or of what speaks like it, for the same as text",
    ),
    Variable(
        "NOTIFY_PRIVATE",
        "false",
        "`true` lets notices go to addresses that are not public, there also over http",
    ),
    Variable(
        "NOTIFY_RETRY_BASE_S",
        "5",
        "seconds before a notice is sent again for the first time; the further waits keep their proportion to it",
    ),
)


@dataclass(frozen=True)
class Target:
    """Somebody who is told."""

    kind: Kind
    url: str = field(repr=False)  # may be a secret: Slack's is
    digest: str  # all of it that Redis gets to know
    host: str  # all of it that people see


@dataclass(frozen=True)
class NoticeSettings:
    """How notices are sent. Secrets stay out of `repr`."""

    targets: tuple[Target, ...]  # none: nobody is told
    secrets: tuple[Secret, ...] = field(repr=False)  # each signs every notice
    private: bool  # whether addresses that are not public are targets too
    retry_base_s: float  # seconds

    @property
    def digests(self) -> tuple[str, ...]:
        return tuple(target.digest for target in self.targets)

    @property
    def hosts(self) -> dict[str, str]:
        """By digest: all that is ever shown of an address."""
        return {target.digest: target.host for target in self.targets}


def make_target(kind: Kind, url: str) -> Target:
    digest = hashlib.sha256(f"{kind} {url}".encode()).hexdigest()[:DIGEST_CHARS]
    return Target(kind, url, digest, urlsplit(url).hostname or "")


def read_notice_settings(reader: Reader) -> NoticeSettings:
    """What is wrong goes to `reader.problems`; no line quotes an address."""
    private = reader.parsed(parse_switch, False, "NOTIFY_PRIVATE", default="false")
    nobody = tuple[Target, ...]()
    webhooks = reader.parsed(
        lambda text: _parse_targets("webhook", text, private=private), nobody, "NOTIFY_URL"
    )
    slack = reader.parsed(
        lambda text: _parse_targets("slack", text, private=private), nobody, "SLACK_WEBHOOK_URL"
    )
    secrets = reader.parsed(
        lambda text: _parse_secrets(text, needed=bool(webhooks)),
        tuple[Secret, ...](),
        "NOTIFY_SECRET",
    )
    base_s = reader.parsed(_parse_base, DEFAULT_BASE_S, "NOTIFY_RETRY_BASE_S", default="5")
    return NoticeSettings((*webhooks, *slack), secrets, private, base_s)


def _parse_targets(kind: Kind, text: str, *, private: bool) -> tuple[Target, ...]:
    urls = dict.fromkeys(word for word in re.split(r"[\s,]+", text) if word)
    return tuple(make_target(kind, _parse_url(url, private=private)) for url in urls)


def _parse_url(text: str, *, private: bool) -> str:
    """Names are judged once they are resolved, before each try."""
    if not text.isascii() or not text.isprintable() or "\\" in text:
        raise ValueError(
            "expected an address in printable ASCII, such as https://example.com/notices"
        )
    parts = urlsplit(text)
    try:
        is_right = parts.scheme in DEFAULT_PORTS and parts.hostname and parts.port != 0
    except ValueError:
        is_right = False
    if not is_right or "@" in parts.netloc or "#" in text:
        raise ValueError(
            "expected an address such as https://example.com/notices, without a user and a fragment"
        )
    is_https, address = parts.scheme == "https", parse_address(parts.hostname or "")
    if not is_https and not private:
        raise ValueError(
            "expected https: http is only for addresses that are not public, with NOTIFY_PRIVATE=true"
        )
    if address is not None and (
        refusal := find_refusal(address, is_https=is_https, private=private)
    ):
        raise ValueError(refusal)
    return text


def _parse_secrets(text: str, *, needed: bool) -> tuple[Secret, ...]:
    secrets: Sequence[Secret] = [Secret.parse(word) for word in re.split(r"[\s,]+", text) if word]
    if needed and not secrets:
        raise ValueError(
            "is missing: make one with `echo whsec_$(openssl rand -base64 32)`, for the receiver too"
        )
    return tuple(secrets)


def _parse_base(text: str) -> float:
    if not re.fullmatch(r"\d{1,2}(\.\d{1,3})?", text) or not 0 < float(text) <= MAX_BASE_S:
        raise ValueError(f"expected seconds such as 5 or 0.5, at most {MAX_BASE_S:.0f}")
    return float(text)
