"""Who gets which notices, and how they are signed, from the environment.

Variables without a suffix make targets without a name; `__OPS` after their names makes targets
`ops`, with secrets and events of their own.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from receiver.settings.environment import Reader, Variable, setting, variables_of
from receiver.settings.notice_addresses import find_refusal, parse_address
from receiver.settings.notice_events import NoticeType, find_events
from receiver.settings.notice_keys import SigningKey, parse_signing_keys
from receiver.settings.parsers import parse_switch, split_words
from receiver.settings.projects import variable_of
from receiver.settings.redis_urls import parse_redis_url
from receiver.settings.rq_functions import SCHEME, RqFunction
from receiver.settings.suffixes import find_suffixes
from receiver.settings.web_urls import split_url

Kind = Literal["webhook", "slack", "rq"]
URL, SECRET, SLACK = "NOTIFY_URL", "NOTIFY_SECRET", "SLACK_WEBHOOK_URL"
MAX_BASE_S = 30.0  # the whole schedule takes 19 days then, and a notice is kept for 30
DIGEST_CHARS = 12


@dataclass(frozen=True)
class Target:
    """Somebody who gets notices."""

    kind: Kind
    url: str = field(repr=False)  # may be a secret: Slack's is
    digest: str  # all of the address that is kept in Redis
    host: str  # all of the address that people see
    name: str = ""  # "ops" of NOTIFY_URL__OPS
    keys: tuple[SigningKey, ...] = ()  # each signs every notice
    events: frozenset[NoticeType] | None = None  # None: all of them
    redis_url: str = field(default="", repr=False)  # of RQ; may hold a password

    @property
    def label(self) -> str:
        """What people know it by."""
        return f"{self.host} ({self.name})" if self.name else self.host


def make_target(kind: Kind, url: str, keys: tuple[SigningKey, ...] = ()) -> Target:
    """A target without a name, for all types of notices."""
    address, host = url, urlsplit(url).hostname or ""
    if kind == "rq":
        function = RqFunction.parse(url)
        address, host = function.name, f"{SCHEME}{function.queue}"
    digest = hashlib.sha256(f"{kind} {address}".encode()).hexdigest()[:DIGEST_CHARS]
    return Target(kind, url, digest, host, keys=keys)


def _check_webhooks(words: list[str], private: bool) -> tuple[Target, ...]:  # noqa: FBT001 - the value of a field
    return tuple(dict.fromkeys(_make_webhook(word, private=private) for word in words))


def _make_webhook(text: str, *, private: bool) -> Target:
    if text.startswith(SCHEME):
        return make_target("rq", text)
    _check_url(text, private=private)
    return make_target("webhook", text)


def _check_slack(words: list[str], private: bool) -> tuple[Target, ...]:  # noqa: FBT001 - likewise
    for word in words:
        _check_url(word, private=private)
    return tuple(make_target("slack", word) for word in dict.fromkeys(words))


def _check_url(text: str, *, private: bool) -> None:
    """Host names are checked later, once they are resolved, before each attempt."""
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


def _check_keys(words: list[str], webhooks: Sequence[Target]) -> tuple[SigningKey, ...]:
    keys = parse_signing_keys(words)
    if not keys and any(target.kind == "webhook" for target in webhooks):
        raise ValueError(
            "is missing: make one with `echo whsec_$(openssl rand -base64 32)`, for the receiver"
            " too, or a private key with `gemini-batch-receiver notices keys --new`"
        )
    return keys


def _parse_own_redis(text: str) -> str:
    return parse_redis_url(text) if text else ""


def _parse_base(text: str) -> float:
    if not re.fullmatch(r"\d{1,2}(\.\d{1,3})?", text) or not 0 < float(text) <= MAX_BASE_S:
        raise ValueError(f"expected seconds such as 5 or 0.5, at most {MAX_BASE_S:.0f}")
    return float(text)


@dataclass(frozen=True)
class TargetVariables:
    """The variables that make targets; each may have a suffix. Secrets stay out of `repr`."""

    webhooks: tuple[Target, ...] = setting(
        URL,
        split_words,
        "where signed notices of stored, failed, buried and overdue batches go: one address or"
        " several, separated by spaces or commas; `rq://queue/module.function` enqueues a job for"
        " your own RQ workers",
        is_secret=True,
        hides_itself=True,
        check=_check_webhooks,
        needs=("private",),
    )
    keys: tuple[SigningKey, ...] = setting(
        SECRET,
        split_words,
        "secret that notices are signed with (`whsec_…`, such as"
        " `echo whsec_$(openssl rand -base64 32)` gives), or private key (`whsk_…`, from"
        " `notices keys --new`); several during a rotation",
        shown="required with NOTIFY_URL",
        is_secret=True,
        check=_check_keys,
        needs=("webhooks",),
    )
    slack: tuple[Target, ...] = setting(
        SLACK,
        split_words,
        "incoming webhook of Slack, or of what speaks like it, for the same as text",
        is_secret=True,
        hides_itself=True,
        check=_check_slack,
        needs=("private",),
    )
    events: frozenset[NoticeType] | None = setting(
        "NOTIFY_EVENTS",
        split_words,
        "types of notices that go to these addresses, such as `batch.buried submission.*`",
        shown="all",
        check=find_events,
    )
    redis_url: str = setting(
        "NOTIFY_REDIS_URL",
        _parse_own_redis,
        "Redis of the RQ that an `rq://` address enqueues into",
        shown="REDIS_URL",
        is_secret=True,
    )


VARIABLES = tuple(variables_of(TargetVariables).values())
_NAMES = tuple(variable.name for variable in VARIABLES)
# Another way to set them, for the lists that people read.
FORMS = (
    Variable(
        f"{URL}__NAME",
        str,
        "one more address, with a secret of its own: `NOTIFY_SECRET__NAME`;"
        " `SLACK_WEBHOOK_URL__NAME`, `NOTIFY_EVENTS__NAME` and `NOTIFY_REDIS_URL__NAME` belong to"
        " the same name",
    ),
)


@dataclass(frozen=True)
class NoticeSettings:
    """How notices are sent, and to whom."""

    targets: tuple[Target, ...]  # may be none
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
    def digests(self) -> tuple[str, ...]:
        return tuple(target.digest for target in self.targets)

    @property
    def hosts(self) -> dict[str, str]:
        """By digest: all that is ever shown of an address."""
        return {target.digest: target.host for target in self.targets}

    @property
    def labels(self) -> dict[str, str]:
        """By digest: what people know the targets by."""
        return {target.digest: target.label for target in self.targets}


def read_notices(reader: Reader, redis_url: str) -> Mapping[str, Any]:
    """The fields of the settings, wrong ones left out. What is wrong goes to `reader.problems`.

    `redis_url` is that of the inbox.
    """
    values = reader.read(NoticeSettings)
    names, _ = find_suffixes(reader, _NAMES, "target", f"{URL}__OPS")
    targets: list[Target] = []
    for name in ("", *names):
        _require_address(reader, name)
        found = reader.read(TargetVariables, variable_of("", name), known=values)
        targets += _complete(found, name, redis_url) if "private" in values else []
    _refuse_repeated(reader, targets)
    return values | {"targets": tuple(targets)}


def _require_address(reader: Reader, name: str) -> None:
    if name and not reader.text(variable_of(URL, name), variable_of(SLACK, name)):
        stated = reader.stated(*(variable_of(variable, name) for variable in _NAMES))
        reader.problems.append(
            f"{stated}: no address has this suffix: correct it, or set {variable_of(URL, name)} as"
            " well"
        )


def _complete(found: Mapping[str, Any], name: str, redis_url: str) -> list[Target]:
    """The targets of one name; none where a variable of them is wrong."""
    if found.keys() != variables_of(TargetVariables).keys():
        return []
    return [
        replace(
            target,
            name=name,
            keys=found["keys"] if target.kind == "webhook" else (),
            events=found["events"],
            redis_url=(found["redis_url"] or redis_url) if target.kind == "rq" else "",
        )
        for target in (*found["webhooks"], *found["slack"])
    ]


def _refuse_repeated(reader: Reader, targets: Sequence[Target]) -> None:
    """The same address twice would have two secrets, two filters and one queue."""
    seen: dict[str, str] = {}
    for target in targets:
        variable = reader.stated(variable_of(SLACK if target.kind == "slack" else URL, target.name))
        if target.digest in seen:
            reader.problems.append(
                f"{variable}: the same address is in {seen[target.digest]}: name it once, with all"
                " of its events"
            )
        seen[target.digest] = variable
