"""Gemini's Webhooks API: where a project's events are sent, and what they are signed with.

The calls are described in https://ai.google.dev/api/webhooks; unlike the rest of the API it speaks snake_case.
A secret leaves this module as the answer to `create` and `rotate` alone.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlencode

import msgspec

from receiver.errors import GeminiError
from receiver.gemini.paging import SNAKE_CASE, list_items
from receiver.gemini.registered_webhooks import RegisteredWebhook, SigningSecret
from receiver.gemini.transport import Transport, decode
from receiver.verification.keys import Secret

WEBHOOK_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
AFTER_24_HOURS, AT_ONCE = "revoke_previous_secrets_after_h24", "revoke_previous_secrets_immediately"


class _Secret(msgspec.Struct):
    truncated_secret: str = ""
    expire_time: str | None = None


class _Webhook(msgspec.Struct):
    id: str
    name: str | None = None
    uri: str = ""
    subscribed_events: list[str] = []
    state: str = ""
    signing_secrets: list[_Secret] = []


class _Created(_Webhook):
    new_signing_secret: str | None = None


class _Rotated(msgspec.Struct):
    secret: str | None = None


def _read_webhook(webhook: _Webhook) -> RegisteredWebhook:
    secrets = tuple(
        SigningSecret(one.truncated_secret, one.expire_time) for one in webhook.signing_secrets
    )
    events = tuple(webhook.subscribed_events)
    return RegisteredWebhook(webhook.id, webhook.name, webhook.uri, events, webhook.state, secrets)


def _read_secret(text: str | None, webhook_id: str) -> Secret:
    """A new secret, if it is one that deliveries can be verified with."""
    try:
        return Secret.parse(text or "")
    except ValueError:
        hint = f"`gemini-batch-receiver webhooks rotate {webhook_id}` asks for another one"
        words = f"Gemini gave no secret of the known form for the webhook {webhook_id}, which exists now: {hint}"
        raise GeminiError(words, status=200) from None  # the cause may hold the secret


def is_unsure(error: GeminiError) -> bool:
    """Whether a call that changes something may have done so all the same."""
    return error.status is None or error.status >= 500  # noqa: PLR2004 - the class of a server's own errors


class Webhooks:
    """One project's registered webhooks. Every call raises GeminiError, and none is made twice."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Iterator[RegisteredWebhook]:
        """Every webhook of the project."""
        return map(
            _read_webhook, list_items(self._transport, "webhooks", _Webhook, names=SNAKE_CASE)
        )

    def get(self, webhook_id: str) -> RegisteredWebhook:
        path, what = _address(webhook_id)
        return _read_webhook(decode(self._transport.get(path, what), _Webhook, what))

    def create(
        self, uri: str, events: Sequence[str], name: str | None
    ) -> tuple[RegisteredWebhook, Secret]:
        """Register an address. Gives its secret, which is never shown again; see `is_unsure` for its errors."""
        body: dict[str, object] = {"uri": uri, "subscribed_events": list(events)}
        body |= {"name": name} if name else {}
        what = f"a webhook for {uri}"
        created = decode(self._transport.send("POST", "webhooks", what, body), _Created, what)
        return _read_webhook(created), _read_secret(created.new_signing_secret, created.id)

    def update(self, webhook_id: str, changes: Mapping[str, object]) -> RegisteredWebhook:
        """Change `name`, `uri`, `subscribed_events` or `state`, and nothing else."""
        path, what = _address(webhook_id)
        query = urlencode({"update_mask": ",".join(changes)})
        return _read_webhook(
            decode(self._transport.send("PATCH", f"{path}?{query}", what, changes), _Webhook, what)
        )

    def ping(self, webhook_id: str) -> None:
        """Have Gemini send a delivery of no batch."""
        path, what = _address(webhook_id)
        self._transport.send("POST", f"{path}:ping", what)

    def rotate(self, webhook_id: str, *, immediately: bool) -> Secret:
        """A new secret; the old ones sign for 24 hours more, unless they must end now."""
        path, what = _address(webhook_id)
        body = {"revocation_behavior": AT_ONCE if immediately else AFTER_24_HOURS}
        rotated = decode(
            self._transport.send("POST", f"{path}:rotateSigningSecret", what, body), _Rotated, what
        )
        return _read_secret(rotated.secret, webhook_id)

    def delete(self, webhook_id: str) -> None:
        path, what = _address(webhook_id)
        self._transport.send("DELETE", path, what)


def _address(webhook_id: str) -> tuple[str, str]:
    """The path of a webhook, and what it is called in errors. Raises GeminiError: an id becomes part of a path."""
    if not WEBHOOK_ID.fullmatch(webhook_id):
        raise GeminiError(
            f"{webhook_id!r} is no id of a webhook: `gemini-batch-receiver webhooks list` shows them"
        )
    return f"webhooks/{webhook_id}", f"webhook {webhook_id}"
