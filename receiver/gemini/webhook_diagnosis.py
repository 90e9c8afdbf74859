"""Finds what is wrong with a project's webhooks at Gemini. Pure.

A webhook counts as ours by its URL, or else by the secret that it signs with. Others are never
changed, since a project may have webhooks of other systems.
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
from receiver.outputs.wording import count_of
from receiver.settings.web_urls import is_same_url, origin_of, path_of
from receiver.verification.keys import Secret

FaultKind = Literal["missing", "misplaced", "disabled", "events", "secret", "unreachable"]
NoteKind = Literal["unjudged", "twice", "stranger", "leftover"]  # worth a line, but not wrong
ProblemKind = Literal[FaultKind, NoteKind]
NOTES = get_args(NoteKind)
ENDPOINT_PATHS = "/webhooks/gemini"  # what the paths of all our webhook endpoints begin with
COMMAND = "gemini-batch-receiver webhooks"


@dataclass(frozen=True)
class WantedWebhook:
    """What a project's webhook should be like."""

    path: str  # of the project's webhook endpoint
    url: str | None  # None if it is not known
    # Those of this process, which judges no secret if it has none.
    secrets: tuple[Secret, ...] = field(repr=False)
    variable: str  # the setting that holds them
    option: str = ""  # " --project acme", for the commands that are named
    is_proven: bool = False  # by deliveries accepted lately: a secret fits, whatever Gemini shows


@dataclass(frozen=True)
class WebhookProblem:
    """Something about a project's webhooks, and what to do about it."""

    kind: ProblemKind
    webhook: str | None  # its id; None if there is none
    detail: str
    advice: str
    # To be made at Gemini; empty if a person must decide.
    changes: Mapping[str, object] = field(default_factory=dict)
    afterwards: str = ""  # what is left to do after these changes

    @property
    def is_note(self) -> bool:
        return self.kind in NOTES


def choose_ours(
    webhooks: Sequence[RegisteredWebhook], wanted: WantedWebhook
) -> list[RegisteredWebhook]:
    """The webhooks for the project's endpoint: those at its URL, else those that look like it."""
    known = [one for one in webhooks if _knows(one, wanted)]
    if wanted.url is not None:
        url = wanted.url
        in_place = [one for one in webhooks if is_same_url(one.uri, url)]
        return in_place or (known + [one for one in webhooks if _is_at_endpoint_of(one, url)])[:1]

    found = [one for one in webhooks if one in known or path_of(one.uri).endswith(wanted.path)]
    if not known:
        return found
    # One that surely signs with another secret belongs to another installation.
    return [one for one in found if one in known or not _unknown_secrets(one, wanted)]


def find_problems(
    webhooks: Sequence[RegisteredWebhook], wanted: WantedWebhook
) -> list[WebhookProblem]:
    """What is wrong with a project's webhooks, and what is worth a note."""
    ours = choose_ours(webhooks, wanted)
    foreign = [one for one in webhooks if one not in ours and set(one.events) & set(BATCH_EVENTS)]
    return [
        *(problem for webhook in ours for problem in judge_webhook(webhook, wanted)),
        *([] if ours else [_describe_missing(wanted)]),
        *(_describe_duplicate(webhook, wanted) for webhook in ours[1:]),
        *(_describe_foreign(webhook, wanted) for webhook in foreign),
        *_find_unused_secrets(webhooks, wanted),
    ]


def judge_webhook(webhook: RegisteredWebhook, wanted: WantedWebhook) -> list[WebhookProblem]:
    """What is wrong with one webhook of ours."""
    parts = (
        _find_misplaced,
        _find_disabled,
        _find_missing_events,
        _find_unknown_secret,
        _find_unjudged,
    )
    return [problem for part in parts if (problem := part(webhook, wanted)) is not None]


def _knows(webhook: RegisteredWebhook, wanted: WantedWebhook) -> bool:
    return any(_is_known(shown, wanted) for shown in webhook.secrets)


def _is_known(shown: SigningSecret, wanted: WantedWebhook) -> bool:
    return any(shown.may_be(secret) for secret in wanted.secrets)


def _unknown_secrets(webhook: RegisteredWebhook, wanted: WantedWebhook) -> list[SigningSecret]:
    """Those that are surely not ours; not those that Gemini shows in an unknown form."""
    return [
        shown
        for shown in webhook.secrets
        if wanted.secrets and all(shown.may_be(secret) is False for secret in wanted.secrets)
    ]


def _is_at_endpoint_of(webhook: RegisteredWebhook, url: str) -> bool:
    is_ours = path_of(webhook.uri).startswith(ENDPOINT_PATHS)
    return is_ours and origin_of(webhook.uri) == origin_of(url)


def _describe_missing(wanted: WantedWebhook) -> WebhookProblem:
    url = wanted.url or "https://YOUR-HOST"
    unknown = f"any host's {wanted.path}, and none signs with a secret of {wanted.variable}"
    where = wanted.url or unknown
    return WebhookProblem(
        "missing",
        None,
        f"no webhook is registered for {where}",
        f"register it: `{COMMAND} create --url {url}{wanted.option}`",
    )


def _is_in_place(webhook: RegisteredWebhook, wanted: WantedWebhook) -> bool:
    if wanted.url is None:
        return path_of(webhook.uri).endswith(wanted.path)
    return is_same_url(webhook.uri, wanted.url)


def _find_misplaced(webhook: RegisteredWebhook, wanted: WantedWebhook) -> WebhookProblem | None:
    if _is_in_place(webhook, wanted):
        return None
    url = wanted.url or (origin_of(webhook.uri) or "https://YOUR-HOST") + wanted.path
    advice = f"`{COMMAND} update {webhook.id} --url {url}{wanted.option}`"
    # Without a known URL it is a guess, on which only a person may act.
    changes = {"uri": wanted.url} if wanted.url else {}
    return WebhookProblem(
        "misplaced", webhook.id, f"it sends to {webhook.uri} instead of {url}", advice, changes
    )


def _find_disabled(webhook: RegisteredWebhook, wanted: WantedWebhook) -> WebhookProblem | None:
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


def _find_missing_events(
    webhook: RegisteredWebhook, wanted: WantedWebhook
) -> WebhookProblem | None:
    missing = [event for event in BATCH_EVENTS if event not in webhook.events]
    if not missing:
        return None
    events = [*webhook.events, *missing]
    advice = f"`{COMMAND} update {webhook.id} --events {','.join(events)}{wanted.option}`"
    detail = f"it does not subscribe {', '.join(missing)}"
    return WebhookProblem("events", webhook.id, detail, advice, {"subscribed_events": events})


def _find_unknown_secret(
    webhook: RegisteredWebhook, wanted: WantedWebhook
) -> WebhookProblem | None:
    """Its deliveries are refused, now or as soon as the old secret ends.

    One known secret is enough, since each delivery is signed with all of them. Secrets that are not
    shown, or can't be compared for want of our own, are not judged.
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
            f"it signs with {shown} too, but {variable} has only the old secret, which ends {ends}:"
            " its deliveries are refused from then on"
        )
        advice = f"set {variable} to both secrets, the new one first, and restart the web process"
        return WebhookProblem("secret", webhook.id, detail, advice)
    if wanted.is_proven:
        return None
    detail = f"it signs with {shown}, but {variable} has another secret: its deliveries are refused"
    advice = (
        f"set {variable} to the secret that `{COMMAND} create` or `rotate` gave last, and restart"
        " the web process; only if nobody has kept it,"
        f" `{COMMAND} rotate {webhook.id}{wanted.option}` gives another one"
    )
    return WebhookProblem("secret", webhook.id, detail, advice)


def _find_unjudged(webhook: RegisteredWebhook, wanted: WantedWebhook) -> WebhookProblem | None:
    """Without secrets of its own, a process can't compare them."""
    if wanted.secrets:
        return None
    unset = f"{wanted.variable} is not set here"
    detail = f"{unset}, so it can't be told whether the web process knows its secret"
    advice = "`gemini-batch-receiver status` shows what the web process says"
    return WebhookProblem("unjudged", webhook.id, detail, advice)


def _describe_duplicate(webhook: RegisteredWebhook, wanted: WantedWebhook) -> WebhookProblem:
    advice = f"`{COMMAND} delete {webhook.id} --yes{wanted.option}` if nobody needs it"
    return WebhookProblem(
        "twice", webhook.id, "it sends every event to the same endpoint once more", advice
    )


def _describe_foreign(webhook: RegisteredWebhook, wanted: WantedWebhook) -> WebhookProblem:
    update = f"`{COMMAND} update {webhook.id} --url https://YOUR-HOST{wanted.option}`"
    advice = f"if it should come here: {update}"
    return WebhookProblem(
        "stranger", webhook.id, f"it sends batch events to {webhook.uri}, which is not ours", advice
    )


def _find_unused_secrets(
    webhooks: Sequence[RegisteredWebhook], wanted: WantedWebhook
) -> Iterator[WebhookProblem]:
    """Secrets that the endpoint takes although no webhook signs with them any more."""
    shown = [secret for webhook in webhooks for secret in webhook.secrets]
    unused = [
        secret for secret in wanted.secrets if all(one.may_be(secret) is False for one in shown)
    ]
    if shown and unused:
        secrets = count_of(len(unused), "secret", "secrets")
        detail = f"{wanted.variable} holds {secrets} of no webhook of this project"
        yield WebhookProblem(
            "leftover",
            None,
            detail,
            "remove them after a rotation's 24 hours, and restart the web process",
        )
