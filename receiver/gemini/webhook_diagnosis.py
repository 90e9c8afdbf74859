"""Judges what Gemini keeps of a project's webhooks against what the project needs. Pure.

A webhook counts as ours by its address, or where that is wrong by what it signs with: nothing else is ever changed,
since a project may have webhooks of other systems.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from receiver.gemini.registered_webhooks import (
    BATCH_EVENTS,
    DISABLED,
    ENABLED,
    FAILED_DELIVERIES,
    RegisteredWebhook,
    SigningSecret,
)
from receiver.settings.web_urls import is_same_url, origin_of, path_of
from receiver.verification.keys import Secret

Fault = Literal["missing", "misplaced", "disabled", "events", "secret", "unreachable"]
Note = Literal["unjudged", "twice", "stranger", "leftover"]  # worth a line, and no fault
Kind = Literal[Fault, Note]
NOTES = get_args(Note)
ENDPOINT_PATHS = "/webhooks/gemini"  # what the paths of all our webhook endpoints begin with
COMMAND = "gemini-batch-receiver webhooks"


@dataclass(frozen=True)
class Wanted:
    """What a project's webhook should be like."""

    path: str  # of the project's webhook endpoint
    url: str | None  # the whole address; None where nobody stated it
    secrets: tuple[Secret, ...] = field(
        repr=False
    )  # that this process has; without any it judges no secret
    variable: str  # that holds them
    option: str = ""  # " --project acme", for the commands that are named
    is_proven: bool = False  # deliveries that were accepted lately show that a secret fits, whatever is shown of it


@dataclass(frozen=True)
class WebhookProblem:
    """One thing about a project's webhooks, and what to do about it."""

    kind: Kind
    webhook: str | None  # its id; None where there is none
    detail: str
    advice: str
    changes: Mapping[str, object] = field(
        default_factory=dict
    )  # that mend it at Gemini; empty where a person must
    afterwards: str = ""  # what is left to do once they are made

    @property
    def is_note(self) -> bool:
        return self.kind in NOTES


def choose_ours(webhooks: Sequence[RegisteredWebhook], wanted: Wanted) -> list[RegisteredWebhook]:
    """The webhooks that are meant for the project's endpoint: those at its address, else those that look like it."""
    if wanted.url is not None:
        url = wanted.url
        at_home = [one for one in webhooks if is_same_url(one.uri, url)]
        known = [one for one in webhooks if _knows(one, wanted)]
        return at_home or (known + [one for one in webhooks if _is_at_endpoint_of(one, url)])[:1]
    found = [
        one for one in webhooks if path_of(one.uri).endswith(wanted.path) or _knows(one, wanted)
    ]
    if any(
        _knows(one, wanted) for one in found
    ):  # one that surely signs with another secret is another installation's
        return [one for one in found if _knows(one, wanted) or not _unknown_secrets(one, wanted)]
    return found


def find_problems(webhooks: Sequence[RegisteredWebhook], wanted: Wanted) -> list[WebhookProblem]:
    """What is wrong with a project's webhooks, and what is worth a note."""
    ours = choose_ours(webhooks, wanted)
    found = [problem for webhook in ours for problem in judge(webhook, wanted)]
    if not ours:
        found.append(_missing(wanted))
    found += [_twice(webhook, wanted) for webhook in ours[1:]]
    found += [
        _stranger(one, wanted)
        for one in webhooks
        if one not in ours and set(one.events) & set(BATCH_EVENTS)
    ]
    return found + list(_leftovers(webhooks, wanted))


def judge(webhook: RegisteredWebhook, wanted: Wanted) -> list[WebhookProblem]:
    """What is wrong with one webhook of ours."""
    parts = (_misplaced, _disabled, _lacking, _drifted, _unjudged)
    return [problem for part in parts if (problem := part(webhook, wanted)) is not None]


def _knows(webhook: RegisteredWebhook, wanted: Wanted) -> bool:
    return any(_is_known(shown, wanted) for shown in webhook.secrets)


def _is_known(shown: SigningSecret, wanted: Wanted) -> bool:
    return any(shown.may_be(secret) for secret in wanted.secrets)


def _unknown_secrets(webhook: RegisteredWebhook, wanted: Wanted) -> list[SigningSecret]:
    """Those that are surely none of ours; what is shown in no known form may be."""
    return [
        shown
        for shown in webhook.secrets
        if wanted.secrets and all(shown.may_be(secret) is False for secret in wanted.secrets)
    ]


def _is_at_endpoint_of(webhook: RegisteredWebhook, url: str) -> bool:
    return origin_of(webhook.uri) == origin_of(url) and path_of(webhook.uri).startswith(
        ENDPOINT_PATHS
    )


def _missing(wanted: Wanted) -> WebhookProblem:
    url = wanted.url or "https://YOUR-HOST"
    where = (
        wanted.url or f"any host's {wanted.path}, and none signs with a secret of {wanted.variable}"
    )
    return WebhookProblem(
        "missing",
        None,
        f"no webhook is registered for {where}",
        f"register it: `{COMMAND} create --url {url}{wanted.option}`",
    )


def _is_in_place(webhook: RegisteredWebhook, wanted: Wanted) -> bool:
    if wanted.url is None:
        return path_of(webhook.uri).endswith(wanted.path)
    return is_same_url(webhook.uri, wanted.url)


def _misplaced(webhook: RegisteredWebhook, wanted: Wanted) -> WebhookProblem | None:
    if _is_in_place(webhook, wanted):
        return None
    url = wanted.url or (origin_of(webhook.uri) or "https://YOUR-HOST") + wanted.path
    advice = f"`{COMMAND} update {webhook.id} --url {url}{wanted.option}`"
    changes = (
        {"uri": wanted.url} if wanted.url else {}
    )  # what nobody stated is a guess, which only a person may follow
    return WebhookProblem(
        "misplaced", webhook.id, f"it sends to {webhook.uri} instead of {url}", advice, changes
    )


def _disabled(webhook: RegisteredWebhook, wanted: Wanted) -> WebhookProblem | None:
    if webhook.state in (ENABLED, ""):
        return None
    enable = f"`{COMMAND} update {webhook.id} --state enabled{wanted.option}`"
    replay = f"`gemini-batch-receiver replay{wanted.option}` for what was missed"
    who = {
        DISABLED: "it is disabled: Gemini sends it nothing",
        FAILED_DELIVERIES: "Gemini disabled it after deliveries failed, and sends it nothing",
    }
    detail = who.get(webhook.state, f"its state is {webhook.state!r}, which is not known here")
    first = "see that its address answers, " if webhook.state == FAILED_DELIVERIES else ""
    return WebhookProblem(
        "disabled",
        webhook.id,
        detail,
        f"{first}{enable}, then {replay}",
        {"state": ENABLED},
        replay,
    )


def _lacking(webhook: RegisteredWebhook, wanted: Wanted) -> WebhookProblem | None:
    missing = [event for event in BATCH_EVENTS if event not in webhook.events]
    if not missing:
        return None
    events = [*webhook.events, *missing]
    advice = f"`{COMMAND} update {webhook.id} --events {','.join(events)}{wanted.option}`"
    detail = f"it is not told of {', '.join(missing)}"
    return WebhookProblem("events", webhook.id, detail, advice, {"subscribed_events": events})


def _drifted(webhook: RegisteredWebhook, wanted: Wanted) -> WebhookProblem | None:
    """Deliveries that the endpoint refuses, now or once the old secret ends.

    Any one secret that is known is enough, since all of them sign. What is not shown, or can't be compared without a
    secret of our own, is not judged.
    """
    unknown = _unknown_secrets(webhook, wanted)
    lasting = [shown for shown in unknown if shown.expires is None]
    others = [shown for shown in webhook.secrets if shown not in unknown]
    if not unknown or any(shown.expires is None for shown in others) or (others and not lasting):
        return None
    shown, variable = (lasting or unknown)[0].truncated, wanted.variable
    if others:
        if not all(_is_known(one, wanted) for one in others):
            return None
        ends = max(one.expires or "" for one in others)
        detail = (
            f"it signs with {shown} too, but {variable} holds only the old one, which ends {ends}: its deliveries are"
            " refused from then on"
        )
        advice = f"set {variable} to both secrets, the new one first, and restart the web process"
        return WebhookProblem("secret", webhook.id, detail, advice)
    if wanted.is_proven:
        return None
    detail = f"it signs with {shown}, but {variable} holds another one, with which its deliveries are refused"
    advice = (
        f"set {variable} to the secret that `{COMMAND} create` or `rotate` gave last, and restart the web process; only"
        f" where nobody has kept it, `{COMMAND} rotate {webhook.id}{wanted.option}` gives another one"
    )
    return WebhookProblem("secret", webhook.id, detail, advice)


def _unjudged(webhook: RegisteredWebhook, wanted: Wanted) -> WebhookProblem | None:
    """What a process without a secret can't tell."""
    if wanted.secrets:
        return None
    detail = f"whether the web process knows its secret can't be told here, where {wanted.variable} is not set"
    advice = "`gemini-batch-receiver status` shows what the web process says"
    return WebhookProblem("unjudged", webhook.id, detail, advice)


def _twice(webhook: RegisteredWebhook, wanted: Wanted) -> WebhookProblem:
    advice = f"`{COMMAND} delete {webhook.id} --yes{wanted.option}` if nobody needs it"
    return WebhookProblem(
        "twice", webhook.id, "it sends every event to the same endpoint once more", advice
    )


def _stranger(webhook: RegisteredWebhook, wanted: Wanted) -> WebhookProblem:
    advice = f"if it should come here: `{COMMAND} update {webhook.id} --url https://YOUR-HOST{wanted.option}`"
    return WebhookProblem(
        "stranger", webhook.id, f"it sends batch events to {webhook.uri}, which is not ours", advice
    )


def _leftovers(webhooks: Sequence[RegisteredWebhook], wanted: Wanted) -> Iterator[WebhookProblem]:
    """Secrets that the endpoint takes although no webhook signs with them any more."""
    shown = [secret for webhook in webhooks for secret in webhook.secrets]
    unused = [
        secret for secret in wanted.secrets if all(one.may_be(secret) is False for one in shown)
    ]
    if shown and unused:
        detail = f"{len(unused)} secret(s) of {wanted.variable} are of no webhook of this project"
        yield WebhookProblem(
            "leftover",
            None,
            detail,
            "remove them after a rotation's 24 hours, and restart the web process",
        )
