"""Sends events to webhooks: signed, repeated until a 2xx, with a record of every attempt."""

import asyncio
import itertools
import time
import uuid
from collections.abc import Callable

import httpx

from deploy.sandbox.config import SandboxConfig
from deploy.sandbox.delivery.signing import DynamicKeys, new_secret, sign_v1
from deploy.sandbox.faults.faults import Faults
from deploy.sandbox.google_api import Json, encode_compact, now_ns, utc_text
from deploy.sandbox.ledger import Attempt, Batch, Delivery, Ledger, State, Webhook

LONGEST_WAIT_S = 3600.0
EVENT_TYPES = {
    State.SUCCEEDED: "batch.succeeded",
    State.FAILED: "batch.failed",
    State.CANCELLED: "batch.cancelled",
    State.EXPIRED: "batch.expired",
}
Sign = Callable[[str, int, bytes], str]  # (webhook-id, timestamp, body) -> webhook-signature


class Dispatcher:
    def __init__(
        self, config: SandboxConfig, ledger: Ledger, faults: Faults, keys: DynamicKeys
    ) -> None:
        self._config = config
        self._ledger = ledger
        self._faults = faults
        self.keys = keys  # replaced by a rotation of the keys
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: asyncio.Event | None = None  # set when a delivery that is held back may go
        timeout = httpx.Timeout(config.delivery_timeout_s, pool=None)
        self._client = httpx.AsyncClient(timeout=timeout, trust_env=False)

    def announce(self, batch: Batch) -> None:
        """Send the batch's event to its own URIs, or else to all subscribed webhooks."""
        event = self._event_of(batch)
        if batch.hook is not None:
            for uri in batch.hook.uris:
                self._send_dynamic(uri, batch, event)
            return
        for webhook in self._ledger.webhooks.values():
            if webhook.state == "enabled" and event["type"] in webhook.subscribed_events:
                if self._faults.take("disable_webhooks"):
                    webhook.state = "disabled_due_to_failed_deliveries"
                else:
                    self._send_static(webhook, batch, event)

    def ping(self, webhook: Webhook) -> None:
        """Send an envelope with empty data. The content of a real ping is unknown."""
        self._send_static(webhook, None, _envelope("ping", {}))

    async def drop_all(self) -> None:
        """Cancel all deliveries in progress."""
        self._held = None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def close(self) -> None:
        await self.drop_all()
        await self._client.aclose()

    def _event_of(self, batch: Batch) -> Json:
        data: Json = {"id": self._faults.event_id + batch.id}
        if batch.state is State.SUCCEEDED and batch.output and "responsesFile" in batch.output:
            data["output_file_uri"] = batch.output["responsesFile"]
        if batch.state is State.FAILED and batch.error:
            data |= {"error_code": batch.error["code"], "error_message": batch.error["message"]}
        event = _envelope(EVENT_TYPES[batch.state], data)
        if batch.hook is not None and batch.hook.user_metadata is not None:
            holder = data if self._faults.user_metadata_in == "data" else event
            holder["user_metadata"] = batch.hook.user_metadata
        return event

    def _send_static(self, webhook: Webhook, batch: Batch | None, event: Json) -> None:
        def sign(message_id: str, timestamp: int, body: bytes) -> str:
            forged = self._faults.take("wrong_signature")
            live = [new_secret()] if forged else [secret.text for secret in webhook.live_secrets()]
            return sign_v1(live, message_id, timestamp, body)

        delivery = _new_delivery(event, webhook.uri, "v1", batch, webhook)
        self._start(delivery, event, sign, webhook)

    def _send_dynamic(self, uri: str, batch: Batch, event: Json) -> None:
        def sign(message_id: str, timestamp: int, body: bytes) -> str:
            keys = self.keys.impostor() if self._faults.take("wrong_signature") else self.keys
            if scheme == "jwt":
                return keys.sign_jwt(self._faults.jwt_audience or uri, event)
            return keys.sign_v1a(message_id, timestamp, body)

        scheme = self._faults.dynamic_scheme
        self._start(_new_delivery(event, uri, scheme, batch, None), event, sign, None)

    def _start(self, delivery: Delivery, event: Json, sign: Sign, webhook: Webhook | None) -> None:
        self._ledger.deliveries.append(delivery)
        if self._faults.take("drop_deliveries"):
            delivery.dropped = True
            return
        task = asyncio.create_task(self._in_turn(delivery, encode_compact(event), sign, webhook))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _in_turn(
        self, delivery: Delivery, body: bytes, sign: Sign, webhook: Webhook | None
    ) -> None:
        """Deliver, or hold this delivery back until the next one has been sent."""
        held = self._held
        if held is None and self._faults.take("reorder_deliveries"):
            self._held = asyncio.Event()
            await self._held.wait()
            await self._deliver(delivery, body, sign, webhook)
            return
        self._held = None
        try:
            await self._deliver(delivery, body, sign, webhook)
        finally:
            if held is not None:
                held.set()

    async def _deliver(
        self, delivery: Delivery, body: bytes, sign: Sign, webhook: Webhook | None
    ) -> None:
        await asyncio.sleep(self._faults.delay_deliveries_s)
        copies = 2 if self._faults.take("duplicate_deliveries") else 1
        for _ in range(copies):
            await self._until_accepted(delivery, body, sign, webhook)

    async def _until_accepted(
        self, delivery: Delivery, body: bytes, sign: Sign, webhook: Webhook | None
    ) -> None:
        give_up_at = time.monotonic() + self._config.retry_for_s
        for number in itertools.count():
            attempt = await self._attempt(delivery, body, sign)
            delivery.attempts.append(attempt)
            delivery.accepted = attempt.status is not None and httpx.codes.is_success(
                attempt.status
            )
            if webhook is not None:
                self._note_health(webhook, accepted=delivery.accepted)
            wait_s = min(self._config.retry_base_s * 2**number, LONGEST_WAIT_S)
            switched_off = webhook is not None and webhook.state != "enabled"
            if delivery.accepted or switched_off or time.monotonic() + wait_s > give_up_at:
                return
            await asyncio.sleep(wait_s)

    async def _attempt(self, delivery: Delivery, body: bytes, sign: Sign) -> Attempt:
        """One POST with a fresh timestamp and signature."""
        at = utc_text(now_ns())
        timestamp = int(time.time())
        headers = {
            **self._config.replay.delivery_headers.get(delivery.scheme, {}),
            "content-type": "application/json",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(delivery.id, timestamp, body),
        }
        try:
            answer = await self._client.post(delivery.url, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Attempt(at, None, repr(error))
        return Attempt(at, answer.status_code)

    def _note_health(self, webhook: Webhook, *, accepted: bool) -> None:
        webhook.failures_in_a_row = 0 if accepted else webhook.failures_in_a_row + 1
        if webhook.failures_in_a_row >= self._config.disable_after and webhook.state == "enabled":
            webhook.state = "disabled_due_to_failed_deliveries"


def _envelope(event_type: str, data: Json) -> Json:
    timestamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"type": event_type, "version": "v1", "timestamp": timestamp, "data": data}


def _new_delivery(
    event: Json, url: str, scheme: str, batch: Batch | None, webhook: Webhook | None
) -> Delivery:
    return Delivery(
        id=f"msg_{uuid.uuid4()}",
        type=event["type"],
        url=url,
        scheme=scheme,
        batch=batch.name if batch else None,
        webhook=webhook.id if webhook else None,
    )
