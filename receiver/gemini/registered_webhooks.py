"""Webhooks as they are registered at Gemini, and the events that they should subscribe. Pure."""

import re
from dataclasses import dataclass

from receiver.verification.keys import PREFIX, Secret

BATCH_EVENTS = ("batch.succeeded", "batch.failed", "batch.cancelled", "batch.expired")
ENABLED, DISABLED, FAILED_DELIVERIES = "enabled", "disabled", "disabled_due_to_failed_deliveries"
_BASE64 = "[A-Za-z0-9+/]"
SHORTENED = re.compile(
    rf"((?:{PREFIX})?{_BASE64}*)(?:\.{{2,}}|\u2026|\*{{2,}})({_BASE64}*={{0,2}})"
)


@dataclass(frozen=True)
class SigningSecret:
    """A secret that a webhook signs with, of which Gemini shows the ends."""

    truncated: str  # "whsec_...MnM="
    expires: str | None  # RFC 3339; None for the one that stays

    def may_be(self, secret: Secret) -> bool | None:
        """Whether the ends fit; what is between them is not shown. None where no end is shown in a
        known form.

        >>> secret = Secret(b"abcdefghijklmnopqrstuvwxyz-12345")
        >>> SigningSecret("whsec_...NDU=", None).may_be(secret)
        True
        >>> SigningSecret("(hidden)", None).may_be(secret) is None
        True
        """
        shown = SHORTENED.fullmatch(self.truncated)
        if shown is None:
            return None
        first, last = shown[1].removeprefix(PREFIX), shown[2]
        if not first and not last.strip("="):
            return None
        text = secret.show().removeprefix(PREFIX)
        return text.startswith(first) and text.endswith(last)


@dataclass(frozen=True)
class RegisteredWebhook:
    """One registered webhook of a project, without its secrets."""

    id: str
    name: str | None
    uri: str
    events: tuple[str, ...]
    state: str  # enabled, disabled or disabled_due_to_failed_deliveries
    secrets: tuple[SigningSecret, ...]
