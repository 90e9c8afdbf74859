"""Gemini's Webhooks API: where a project's events are sent, and how they are signed.

The calls are described in https://ai.google.dev/api/webhooks. Unlike the rest of the API they use
snake_case. Only `create` and `rotate` return a secret.
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
    """A new secret in the form that deliveries can be verified with. Raises GeminiError."""
    try:
        return Secret.parse(text or "")
    except ValueError:
        hint = f"`gemini-batch-receiver webhooks rotate {webhook_id}` asks for another one"
        words = f"Gemini gave no secret of the known form for the webhook {webhook_id}"
        # Without the cause, which may hold the secret.
        raise GeminiError(f"{words}, which exists now: {hint}", status=200) from None


def is_unsure(error: GeminiError) -> bool:
    """Whether a failed call may have changed something all the same."""
    return error.status is None or error.status >= 500  # noqa: PLR2004 - the server's errors


class Webhooks:
    """One project's registered webhooks. Every call raises GeminiError; none is repeated."""

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
        """Register a URL. Gives its secret, which Gemini never shows again.

        After an error that `is_unsure`, the webhook may exist.
        """
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
        """Have Gemini send a test delivery."""
        path, what = _address(webhook_id)
        self._transport.send("POST", f"{path}:ping", what)

    def rotate(self, webhook_id: str, *, immediately: bool) -> Secret:
        """A new secret. The old ones are valid for 24 more hours, unless `immediately`."""
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
    """The path of a webhook and its name in errors. Raises GeminiError for a malformed id."""
    if not WEBHOOK_ID.fullmatch(webhook_id):
        raise GeminiError(
            f"{webhook_id!r} is no id of a webhook:"
            " `gemini-batch-receiver webhooks list` shows them"
        )
    return f"webhooks/{webhook_id}", f"webhook {webhook_id}"
