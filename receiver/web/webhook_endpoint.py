"""The webhook endpoints, one per project: a delivery is verified, parsed and recorded."""

import functools
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal, NamedTuple

import msgspec
import redis
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from receiver.batch_names import BatchName
from receiver.errors import (
    EventError,
    InboxUnavailableError,
    KeySetUnavailableError,
    SignatureError,
    UnknownKeyError,
)
from receiver.gemini.webhook_reports import Evidence
from receiver.inbox.delivery_log import RejectedDelivery, Verdict, name_delivery
from receiver.inbox.delivery_shapes import take_shape
from receiver.inbox.ledger import Arrival, Source
from receiver.settings.projects import Project
from receiver.telemetry.metrics import definitions
from receiver.telemetry.metrics.counters import Counters
from receiver.telemetry.tracing import add_log_fields, carry_trace
from receiver.verification import signatures
from receiver.verification.events import BatchEvent, OtherEvent, check_claims, parse_event
from receiver.verification.jwks import KeySetCache
from receiver.verification.keys import KeySet
from receiver.verification.signatures import Scheme, Verified
from receiver.web.accept_batcher import AcceptBatcher
from receiver.web.health import Readiness
from receiver.web.metrics_endpoint import MetricsReader

Result = Verdict | Literal["unavailable"]  # as the metrics count deliveries
MAX_BODY_BYTES = 1024 * 1024
RawHeaders = Sequence[tuple[bytes, bytes]]  # of ASGI: names in lower case
NO_KEYS = KeySet()
# Made once: no request leaves a trace in them.
NOT_JSON = JSONResponse({"error": "expected application/json"}, status_code=415)
ANSWERS: Mapping[Verdict, Response] = {
    "accepted": JSONResponse({"status": "accepted"}, status_code=202),
    "known": JSONResponse({"status": "known"}),
    "ignored": JSONResponse({"status": "ignored"}),
}
METADATA_DROPPED = (
    "its user metadata is over 8 KiB or no clean JSON: {meta.<name>} of its outputs will be `!n`"
)
log = logging.getLogger(__name__)


class Rejection(NamedTuple):
    """What becomes of one kind of rejected delivery. The cause goes to the log."""

    errors: type[Exception] | tuple[type[Exception], ...]
    status: int
    event: str  # of the log line
    level: int
    result: Result | None = None  # as it is counted; None where it is not
    answer: str = ""  # what the sender is told; empty for the cause
    headers: Mapping[str, str] = {}


# The first that fits the error. No answer gives a hint to somebody who forges deliveries.
REJECTIONS = (
    Rejection(
        SignatureError,
        401,
        "delivery.refused",
        logging.WARNING,
        "refused",
        "the delivery is not proven to come from Gemini",
    ),
    Rejection(EventError, 400, "delivery.malformed", logging.WARNING, "malformed"),
    Rejection(
        (InboxUnavailableError, KeySetUnavailableError),
        503,
        "delivery.unavailable",
        logging.ERROR,
        "unavailable",
        "try again later",
        {"retry-after": "5"},
    ),
    Rejection(
        ClientDisconnect,
        400,
        "delivery.aborted",
        logging.INFO,
        answer="the delivery ended too early",
    ),
    Rejection(
        Exception,
        500,
        "delivery.crashed",
        logging.ERROR,
        answer="this went wrong here; it is logged",
    ),
)


@dataclass(frozen=True)
class AppState:
    """What the endpoints work with; made once per process."""

    batcher: AcceptBatcher
    keys: KeySetCache
    counters: Counters
    metrics: MetricsReader
    readiness: Readiness
    redis: "redis.Redis"


class WebhookEndpoint:
    """The webhook endpoint of one project: it takes its own secrets and audience alone."""

    def __init__(self, project: Project, evidence: Evidence) -> None:
        self._project, self._evidence = project, evidence
        self._about = {"project": project.name} if project.name else {}  # of every log line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """2xx once the event is in the inbox.

        Plain ASGI, since the objects of a request cost as much as the rest of a delivery.
        """
        response = await self._answer(scope["app"].state.parts, scope["headers"], receive)
        await response(scope, receive, send)

    async def _answer(self, parts: AppState, raw: RawHeaders, receive: Receive) -> Response:
        fields = dict(reversed(raw))  # of several with one name, the first
        media_type = fields.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if media_type != b"application/json":
            return NOT_JSON

        headers = Headers(raw=[field for field in raw if field[0].startswith(b"webhook-")])
        delivery_id = headers.get("webhook-id", "")
        add_log_fields(webhook_id=delivery_id, **self._about)
        try:
            body = await _read_body(_declared_bytes(fields), receive)
            return await self._receive(parts, headers, body, fields)
        except HTTPException:
            raise  # a body over the limit, which Starlette answers
        except Exception as error:  # noqa: BLE001 - the table logs it
            return self._reject(error, parts, headers, delivery_id)

    async def _receive(
        self, parts: AppState, headers: Headers, body: bytes, fields: Mapping[bytes, bytes]
    ) -> Response:
        """Verify, parse and record one delivery. Raises one of REJECTIONS' errors."""
        try:
            verified = self._verify(headers, body, NO_KEYS)
        except UnknownKeyError:
            verified = await self._verify_dynamic(parts.keys, headers, body)
        if verified.scheme is Scheme.STATIC:
            self._evidence.accepted()

        event = parse_event(body)
        if verified.claims is not None:
            check_claims(verified.claims, event)

        project, shapes = self._project.name, parts.batcher.shapes
        if shapes.wants(project, verified.scheme, event.type):
            shapes.add(take_shape(project, str(verified.scheme), event.type, fields, body))
        parts.batcher.contents.add(self._name(verified), fields, body)
        about = {
            "scheme": str(verified.scheme),
            "webhook_id": verified.delivery_id,
            "type": event.type,
        }
        if isinstance(event, OtherEvent):
            return self._ignore(parts, event, verified, about)
        return await self._record(parts, event, verified, about)

    def _ignore(
        self, parts: AppState, event: OtherEvent, verified: Verified, about: Mapping[str, str]
    ) -> Response:
        log.info("delivery.ignored", extra=about)
        parts.batcher.note(RejectedDelivery("ignored", self._name(verified), event.type))
        self._count(parts, verified.scheme, "ignored", "other")
        return ANSWERS["ignored"]

    async def _record(
        self, parts: AppState, event: BatchEvent, verified: Verified, about: Mapping[str, str]
    ) -> Response:
        arrival = self._arrival(event, verified, self._name(verified))
        accepted = await parts.batcher.accept(arrival)

        status: Verdict = "accepted" if accepted else "known"
        self._count(parts, verified.scheme, status, event.type)
        about = {**about, "batch": arrival.batch}
        log.info("delivery.recorded", extra={**about, "status": status})
        if event.user_metadata_dropped:
            log.warning("delivery.metadata_dropped", extra={**about, "cause": METADATA_DROPPED})
        return ANSWERS[status]

    def _verify(self, headers: Headers, body: bytes, keys: KeySet) -> Verified:
        secrets, audience = self._project.secrets, self._project.audience
        return signatures.verify(
            headers, body, now=time.time(), secrets=secrets, keys=keys, audience=audience
        )

    async def _verify_dynamic(self, keys: KeySetCache, headers: Headers, body: bytes) -> Verified:
        """Verify with Gemini's key set, which a static webhook does not need."""
        with suppress(UnknownKeyError):
            return self._verify(headers, body, await keys.get())
        return self._verify(headers, body, await keys.refresh())

    def _name(self, verified: Verified) -> str:
        return name_delivery(self._project.name, verified.scheme, verified.delivery_id)

    def _arrival(self, event: BatchEvent, verified: Verified, name: str) -> Arrival:
        source: Source = "static" if verified.scheme is Scheme.STATIC else "dynamic"
        return Arrival(
            batch=str(BatchName.read(event.batch, self._project.name)),
            event=event.type,
            source=source,
            delivery_id=name,
            metadata=msgspec.json.encode(event.user_metadata).decode()
            if event.user_metadata
            else "",
            trace=carry_trace(),
        )

    def _count(self, parts: AppState, scheme: str, result: Result, event: str = "") -> None:
        """`event` is the type of a verified one."""
        parts.counters.increment(_counted(self._project.label, scheme or "none", result, event))

    def _reject(
        self, error: Exception, parts: AppState, headers: Headers, delivery_id: str
    ) -> Response:
        """Log, count and answer what REJECTIONS say of the error."""
        rejection = next(one for one in REJECTIONS if isinstance(error, one.errors))
        scheme, cause = _claimed_scheme(headers), str(error) or type(error).__name__

        is_crash = rejection.status == HTTPStatus.INTERNAL_SERVER_ERROR
        about = {"cause": cause, "scheme": scheme}
        log.log(rejection.level, rejection.event, extra=about, exc_info=is_crash)

        if rejection.result:
            self._count(parts, scheme, rejection.result)
        if rejection.result and rejection.result != "unavailable":
            name = name_delivery(self._project.name, "", delivery_id)
            parts.batcher.note(RejectedDelivery(rejection.result, name, cause=cause))
        if rejection.result == "refused" and scheme == Scheme.STATIC:
            self._evidence.refused()

        answer = {"error": rejection.answer or cause}
        return JSONResponse(answer, status_code=rejection.status, headers=rejection.headers)


def _declared_bytes(fields: Mapping[bytes, bytes]) -> int:
    """The body's length as its sender says; 0 where that is no number."""
    text = fields.get(b"content-length", b"")[:20]  # more digits are too many in any case
    return int(text) if text.isdigit() else 0


async def _read_body(declared_bytes: int, receive: Receive) -> bytes:
    """Raises ClientDisconnect, and HTTPException where it is over MAX_BODY_BYTES."""
    body, more = bytearray(), True
    while more and max(declared_bytes, len(body)) <= MAX_BODY_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message["body"]
        more = message["more_body"]
    if max(declared_bytes, len(body)) > MAX_BODY_BYTES:
        raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Content Too Large")
    return bytes(body)


@functools.cache
def _counted(project: str, scheme: str, result: Result, event: str) -> tuple[str, ...]:
    """The fields of the counters that one delivery adds to; each argument has few values."""
    delivery = definitions.DELIVERIES.field(project, scheme, result)
    return (delivery, definitions.EVENTS.field(project, event)) if event else (delivery,)


def _claimed_scheme(headers: Headers) -> str:
    """The scheme that the headers claim, unproven; empty for an unknown one."""
    with suppress(SignatureError):
        return str(signatures.detect_scheme(headers))
    return ""
