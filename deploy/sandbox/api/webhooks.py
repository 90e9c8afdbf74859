"""Registered webhooks: in snake_case, secrets shown once, two valid during a rotation."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from deploy.sandbox.config import SandboxConfig
from deploy.sandbox.delivery.deliveries import Dispatcher
from deploy.sandbox.delivery.signing import new_secret
from deploy.sandbox.google_api import (
    ApiError,
    Json,
    json_answer,
    new_id,
    now_ns,
    page_of,
    read_object,
    utc_text,
)
from deploy.sandbox.ledger import Ledger, Secret, Webhook

PAGE_LIMIT = 1000
CHANGEABLE = ("name", "uri", "subscribed_events", "state")
AFTER_24_HOURS = "revoke_previous_secrets_after_h24"
AT_ONCE = "revoke_previous_secrets_immediately"


class Webhooks:
    def __init__(self, config: SandboxConfig, ledger: Ledger, dispatcher: Dispatcher) -> None:
        self._config = config
        self._ledger = ledger
        self._dispatcher = dispatcher

    async def create(self, request: Request) -> Response:
        body = await read_object(request)
        if "uri" not in body or "subscribed_events" not in body:
            raise ApiError(400, "A webhook needs a uri and subscribed_events.")
        webhook_id = request.query_params.get("webhook_id") or new_id()
        if webhook_id in self._ledger.webhooks:
            raise ApiError(409, f"Requested entity webhooks/{webhook_id} already exists.")
        webhook = Webhook(
            number=self._ledger.next_number(),
            id=webhook_id,
            name=_text(body.get("name"), "name"),
            uri=_uri(body["uri"]),
            subscribed_events=_events(body["subscribed_events"]),
            secrets=[Secret(new_secret())],
        )
        self._ledger.webhooks[webhook_id] = webhook
        return json_answer({**_resource(webhook), "new_signing_secret": webhook.secrets[0].text})

    async def get(self, request: Request) -> Response:
        return json_answer(_resource(self._find(request)))

    async def list_page(self, request: Request) -> Response:
        query = request.query_params
        webhooks = list(self._ledger.webhooks.values())
        page, token = page_of(
            webhooks, query.get("page_size"), query.get("page_token"), limit=PAGE_LIMIT
        )
        body = {"webhooks": [_resource(webhook) for webhook in page], "next_page_token": token}
        return json_answer({name: value for name, value in body.items() if value})

    async def update(self, request: Request) -> Response:
        webhook = self._find(request)
        body = await read_object(request)
        mask = request.query_params.get("update_mask")
        names = [name.strip() for name in mask.split(",")] if mask else list(body)
        for name in names:
            if name not in CHANGEABLE:
                raise ApiError(
                    400, f"{name} of a webhook cannot be changed: only {', '.join(CHANGEABLE)}."
                )
        changes = {name: _checked(name, body.get(name)) for name in names}
        for name, value in changes.items():
            setattr(webhook, name, value)
        if changes.get("state") == "enabled":
            webhook.failures_in_a_row = 0
        return json_answer(_resource(webhook))

    async def delete(self, request: Request) -> Response:
        del self._ledger.webhooks[self._find(request).id]
        return json_answer({})

    async def ping(self, request: Request) -> Response:
        self._dispatcher.ping(self._find(request))
        return json_answer({})

    async def rotate(self, request: Request) -> Response:
        """Make a new secret. Old ones stay valid for a day unless the caller revokes them."""
        webhook = self._find(request)
        behavior = (await read_object(request)).get("revocation_behavior") or AFTER_24_HOURS
        if str(behavior).lower() not in (AFTER_24_HOURS, AT_ONCE):
            raise ApiError(400, f"{behavior} is not a revocation behavior.")
        if str(behavior).lower() == AT_ONCE:
            webhook.secrets.clear()
        expires_ns = now_ns() + int(self._config.secret_overlap_s * 10**9)
        for secret in webhook.secrets:
            secret.expires_ns = secret.expires_ns or expires_ns
        webhook.secrets.insert(0, Secret(new_secret()))
        return json_answer({"secret": webhook.secrets[0].text})

    def _find(self, request: Request) -> Webhook:
        webhook = self._ledger.webhooks.get(request.path_params["webhook"])
        if webhook is None:
            raise ApiError(404, f"Webhook {request.path_params['webhook']} was not found.")
        return webhook


def _resource(webhook: Webhook) -> Json:
    shown: Json = {"id": webhook.id, "name": webhook.name, "uri": webhook.uri}
    shown["subscribed_events"] = webhook.subscribed_events
    shown["state"] = webhook.state
    shown["signing_secrets"] = [_shortened(secret) for secret in webhook.live_secrets()]
    return {name: value for name, value in shown.items() if value is not None}


def _shortened(secret: Secret) -> Json:
    shown = {"truncated_secret": f"whsec_...{secret.text[-4:]}"}
    return (
        shown
        if secret.expires_ns is None
        else {**shown, "expire_time": utc_text(secret.expires_ns)}
    )


def _checked(name: str, value: Any) -> Any:
    if name == "uri":
        return _uri(value)
    if name == "subscribed_events":
        return _events(value)
    if name == "state" and value not in ("enabled", "disabled"):
        raise ApiError(400, f"{value} is not a state to set: enabled or disabled.")
    return _text(value, name)


def _text(value: Any, name: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ApiError(400, f"{name} must be a string.")
    return value


def _uri(value: Any) -> str:
    if not isinstance(value, str) or not value.startswith(("https://", "http://")):
        raise ApiError(400, "uri must be an http or https URL.")
    return value


def _events(value: Any) -> list[str]:
    if (
        not isinstance(value, list)
        or not value
        or not all(isinstance(event, str) for event in value)
    ):
        raise ApiError(400, "subscribed_events must name at least one event.")
    return value
