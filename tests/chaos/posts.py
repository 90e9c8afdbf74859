"""Deliveries of our own making, signed by the stand-in's code, for what its courier would not do."""

import json
import time
from dataclasses import dataclass

import httpx

from deploy.sandbox.delivery.signing import sign_v1
from tests.chaos.system import System


@dataclass(frozen=True)
class Answer:
    """What a sender saw."""

    status: int  # 0 when no answer came
    retry_after: str
    seconds: float


def sign_delivery(
    system: System, batch: str, delivery_id: str, event: str
) -> tuple[dict[str, str], bytes]:
    """The headers and the body of one delivery."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    body = json.dumps(
        {"type": event, "version": "v1", "timestamp": moment, "data": {"id": batch}}
    ).encode()
    timestamp = int(time.time())
    headers = {
        "content-type": "application/json",
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign_v1([system.secret], delivery_id, timestamp, body),
    }
    return headers, body


def post(  # noqa: PLR0913, PLR0917 - the parts of a delivery
    system: System,
    batch: str,
    delivery_id: str,
    event: str = "batch.succeeded",
    timeout_s: float = 10,
    url: str = "",
) -> Answer:
    """One signed delivery, to the web process that Gemini knows unless `url` names another."""
    headers, body = sign_delivery(system, batch, delivery_id, event)
    begun = time.monotonic()
    try:
        answer = _client.post(
            url or system.webhook_url, content=body, headers=headers, timeout=timeout_s
        )
    except httpx.TransportError:
        return Answer(0, "", time.monotonic() - begun)
    return Answer(
        answer.status_code, answer.headers.get("retry-after", ""), time.monotonic() - begun
    )


_client = httpx.Client(
    trust_env=False, limits=httpx.Limits(max_connections=600, max_keepalive_connections=0)
)
