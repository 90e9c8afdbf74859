"""The doors that Gemini posts to, one a project: a delivery is proven, read and recorded, in this order."""

import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import msgspec
import redis
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from receiver.batch_names import inbox_name
from receiver.errors import (
    EventError,
    InboxUnavailableError,
    KeySetUnavailableError,
    ReceiverError,
    SignatureError,
    UnknownKeyError,
)
from receiver.gemini.webhook_evidence import Evidence
from receiver.inbox.delivery_log import RejectedDelivery, Verdict, name_delivery
from receiver.inbox.ledger import Arrival, Door
from receiver.settings.projects import Project
from receiver.telemetry.log_fields import log_fields
from receiver.telemetry.metrics import definitions
from receiver.telemetry.metrics.counters import Counters
from receiver.telemetry.tracing import carry_trace
from receiver.verification import signatures
from receiver.verification.events import BatchEvent, OtherEvent, check_claims, parse_event
from receiver.verification.jwks import KeySetCache
from receiver.verification.keys import KeySet
from receiver.verification.signatures import Scheme, Verified
from receiver.web.accept_batcher import AcceptBatcher
from receiver.web.metrics_endpoint import MetricsReader
from receiver.web.readiness import Readiness

RETRY_AFTER_S = 5
METADATA_DROPPED = (
    "its user metadata is over 8 KiB or no clean JSON: {meta.<name>} of its outputs will be `!n`"
)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AppState:
    """What the endpoints work with; made once a process."""

    intake: AcceptBatcher
    keys: KeySetCache
    counters: Counters
    meter: MetricsReader
    readiness: Readiness
    redis: "redis.Redis"


class WebhookEndpoint:
    """The door of one project: nothing but its own secrets and its own audience opens it."""

    def __init__(self, project: Project, evidence: Evidence) -> None:
        self._project, self._evidence = project, evidence
        self._about = {"project": project.name} if project.name else {}  # of every log line

    async def post(self, request: Request) -> Response:
        """2xx once the event is in the inbox."""
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            return JSONResponse({"error": "expected application/json"}, status_code=415)
        with log_fields(webhook_id=request.headers.get("webhook-id", ""), **self._about):
            try:
                return await self._receive(request.app.state.parts, request)
            except (
                SignatureError,
                EventError,
                InboxUnavailableError,
                KeySetUnavailableError,
            ) as error:
                return self._refusal(error, request)
            except ClientDisconnect:
                log.info("delivery.aborted")
                return Response(status_code=400)
            except HTTPException:
                raise  # a body over the limit
            except Exception:
                log.exception("delivery.crashed")
                return JSONResponse(
                    {"error": "this went wrong here; it is logged"}, status_code=500
                )

    async def _receive(self, parts: AppState, request: Request) -> Response:
        """The straight line of one delivery. Raises ReceiverError with the reason of a refusal."""
        body = await request.body()
        verified = await self._verify(parts, request, body)
        if verified.scheme is Scheme.STATIC:
            self._evidence.accepted()
        event = parse_event(body)
        if verified.claims is not None:
            check_claims(verified.claims, event)
        name = name_delivery(self._project.name, verified.scheme, verified.delivery_id)
        about = {
            "scheme": str(verified.scheme),
            "webhook_id": verified.delivery_id,
            "type": event.type,
        }
        if isinstance(event, OtherEvent):
            log.info("delivery.ignored", extra=about)
            parts.intake.note(RejectedDelivery("ignored", name, event.type))
            self._count(parts, verified.scheme, "ignored", "other")
            return JSONResponse({"status": "ignored"})
        arrival = self._arrival(event, verified, name)
        accepted = await parts.intake.accept(arrival)
        status: Verdict = "accepted" if accepted else "known"
        self._count(parts, verified.scheme, status, event.type)
        log.info("delivery.recorded", extra=about | {"batch": arrival.batch, "status": status})
        if event.user_metadata_dropped:
            log.warning(
                "delivery.metadata_dropped",
                extra=about | {"batch": arrival.batch, "cause": METADATA_DROPPED},
            )
        return JSONResponse({"status": status}, status_code=202 if accepted else 200)

    async def _verify(self, parts: AppState, request: Request, body: bytes) -> Verified:
        """Judge the delivery without Gemini's key set, which a static webhook doesn't need, then with it."""
        secrets, audience = self._project.secrets, self._project.audience

        def judge(keys: KeySet) -> Verified:
            now = time.time()
            return signatures.verify(
                request.headers, body, now=now, secrets=secrets, keys=keys, audience=audience
            )

        with suppress(UnknownKeyError):
            return judge(KeySet())
        with suppress(UnknownKeyError):
            return judge(await parts.keys.get())
        return judge(await parts.keys.refresh())

    def _arrival(self, event: BatchEvent, verified: Verified, name: str) -> Arrival:
        door: Door = "static" if verified.scheme is Scheme.STATIC else "dynamic"
        return Arrival(
            batch=inbox_name(self._project.name, event.batch),
            event=event.type,
            door=door,
            delivery_id=name,
            metadata=msgspec.json.encode(event.user_metadata).decode()
            if event.user_metadata
            else "",
            trace=carry_trace(),
        )

    def _count(
        self,
        parts: AppState,
        scheme: str,
        verdict: Verdict | Literal["unavailable"],
        event: str = "",
    ) -> None:
        """`event` is a proven one's type."""
        parts.counters.add(definitions.DELIVERIES, self._project.label, scheme or "none", verdict)
        if event:
            parts.counters.add(definitions.EVENTS, self._project.label, event)

    def _refusal(self, error: ReceiverError, request: Request) -> Response:
        """Say no without a hint for an attacker; the log has the cause."""
        delivery_id = request.headers.get("webhook-id", "")
        parts: AppState = request.app.state.parts
        scheme = _claimed_scheme(request)
        about = {"cause": str(error), "scheme": scheme}

        def note(verdict: Verdict) -> None:
            name = name_delivery(self._project.name, "", delivery_id)
            parts.intake.note(RejectedDelivery(verdict, name, cause=str(error)))
            self._count(parts, scheme, verdict)

        if isinstance(error, SignatureError):
            log.warning("delivery.refused", extra=about)
            note("refused")
            if scheme == Scheme.STATIC:
                self._evidence.refused()
            return JSONResponse(
                {"error": "the delivery is not proven to come from Gemini"}, status_code=401
            )
        if isinstance(error, EventError):
            log.warning("delivery.malformed", extra=about)
            note("malformed")
            return JSONResponse({"error": str(error)}, status_code=400)
        log.error("delivery.unavailable", extra=about)
        self._count(parts, scheme, "unavailable")
        headers = {"retry-after": str(RETRY_AFTER_S)}
        return JSONResponse({"error": "try again later"}, status_code=503, headers=headers)


def _claimed_scheme(request: Request) -> str:
    """What the headers say, unproven; empty where that is nothing known."""
    with suppress(SignatureError):
        return str(signatures.detect_scheme(request.headers))
    return ""
