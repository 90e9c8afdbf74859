"""Who gets notices, and how they are signed, from the environment."""

import hashlib
import re
from dataclasses import dataclass, field
from functools import partial
from typing import Literal
from urllib.parse import urlsplit

from receiver.settings.environment import setting
from receiver.settings.notice_addresses import find_refusal, parse_address
from receiver.settings.parsers import parse_secrets, parse_switch, split_words
from receiver.settings.web_urls import split_url
from receiver.verification.keys import Secret

Kind = Literal["webhook", "slack"]
MAX_BASE_S = 30.0  # the whole schedule takes 19 days then, and a notice is kept for 30
DIGEST_CHARS = 12


@dataclass(frozen=True)
class Target:
    """An address that gets notices."""

    kind: Kind
    url: str = field(repr=False)  # may be a secret: Slack's is
    digest: str  # all of the address that is kept in Redis
    host: str  # all of the address that people see


def make_target(kind: Kind, url: str) -> Target:
    digest = hashlib.sha256(f"{kind} {url}".encode()).hexdigest()[:DIGEST_CHARS]
    return Target(kind, url, digest, urlsplit(url).hostname or "")


def _check_targets(
    kind: Kind,
    urls: list[str],
    private: bool,  # noqa: FBT001 - the value of a field
) -> tuple[Target, ...]:
    """Host names are checked later, once they are resolved, before each attempt."""
    for url in urls:
        _check_url(url, private=private)
    return tuple(make_target(kind, url) for url in dict.fromkeys(urls))


def _check_url(text: str, *, private: bool) -> None:
    parts = split_url(text)
    if parts is None or "@" in parts.netloc or "#" in text:
        raise ValueError(
            "expected an address in printable ASCII such as https://example.com/notices, without a"
            " user and a fragment"
        )

    is_https, address = parts.scheme == "https", parse_address(parts.hostname or "")
    if not is_https and not private:
        raise ValueError(
            "expected https: http is only for addresses that are not public, with"
            " NOTIFY_PRIVATE=true"
        )
    refusal = address and find_refusal(address, is_https=is_https, private=private)
    if refusal:
        raise ValueError(refusal)


def _require_secrets(
    secrets: tuple[Secret, ...], webhooks: tuple[Target, ...]
) -> tuple[Secret, ...]:
    if webhooks and not secrets:
        raise ValueError(
            "is missing: make one with `echo whsec_$(openssl rand -base64 32)`, for the receiver"
            " too"
        )
    return secrets


def _parse_base(text: str) -> float:
    if not re.fullmatch(r"\d{1,2}(\.\d{1,3})?", text) or not 0 < float(text) <= MAX_BASE_S:
        raise ValueError(f"expected seconds such as 5 or 0.5, at most {MAX_BASE_S:.0f}")
    return float(text)


@dataclass(frozen=True)
class NoticeSettings:
    """How notices are sent. Secrets stay out of `repr`."""

    webhooks: tuple[Target, ...] = setting(
        "NOTIFY_URL",
        split_words,
        "where signed notices of stored, failed, buried and overdue batches go: one address or"
        " several, separated by spaces or commas",
        is_secret=True,
        hides_itself=True,
        check=partial(_check_targets, "webhook"),
        needs=("private",),
    )
    # Each signs every notice.
    secrets: tuple[Secret, ...] = setting(
        "NOTIFY_SECRET",
        parse_secrets,
        "secret that notices are signed with (`whsec_…`, such as"
        " `echo whsec_$(openssl rand -base64 32)` gives); several during a rotation",
        shown="required with NOTIFY_URL",
        is_secret=True,
        check=_require_secrets,
        needs=("webhooks",),
    )
    slack: tuple[Target, ...] = setting(
        "SLACK_WEBHOOK_URL",
        split_words,
        "incoming webhook of Slack, or of what speaks like it, for the same as text",
        is_secret=True,
        hides_itself=True,
        check=partial(_check_targets, "slack"),
        needs=("private",),
    )
    private: bool = setting(
        "NOTIFY_PRIVATE",
        parse_switch,
        "`true` lets notices go to addresses that are not public, there also over http",
        default="false",
    )
    retry_base_s: float = setting(
        "NOTIFY_RETRY_BASE_S",
        _parse_base,
        "seconds before a notice is sent again for the first time; the further waits keep their"
        " proportion to it",
        default="5",
    )

    @property
    def targets(self) -> tuple[Target, ...]:
        """Everybody who gets notices; may be none."""
        return (*self.webhooks, *self.slack)

    @property
    def digests(self) -> tuple[str, ...]:
        return tuple(target.digest for target in self.targets)

    @property
    def hosts(self) -> dict[str, str]:
        """By digest: all that is ever shown of an address."""
        return {target.digest: target.host for target in self.targets}
