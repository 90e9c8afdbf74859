"""The web process: verifies deliveries, records them in the inbox, and says how it is."""

import asyncio
import functools
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import httpx
import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from receiver import signatures
from receiver.bell import Bell
from receiver.deliveries import Note, NoteBook
from receiver.errors import (
    EventError,
    InboxUnavailableError,
    KeySetUnavailableError,
    ReceiverError,
    SignatureError,
    UnknownKeyError,
)
from receiver.events import BatchEvent, OtherEvent, check_claims, parse_event
from receiver.inbox import Arrival, Door, Inbox, connect
from receiver.intake import Intake
from receiver.jwks import KeySetCache
from receiver.reconciler import Reconciler, look_once
from receiver.settings import Settings
from receiver.signatures import KeySet, Scheme, Verified
from receiver.sweep import Sweeper

MAX_BODY_BYTES = 1024 * 1024
RETRY_AFTER_S = 5
READY_TIMEOUT_S = 2.5
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """What the endpoints work with; made once a process."""

    settings: Settings
    inbox: Inbox
    intake: Intake
    keys: KeySetCache


async def _verify(parts: Parts, request: Request, body: bytes) -> Verified:
    """Judge the delivery; dynamic schemes get one look at a fresher key set."""
    is_static = signatures.detect_scheme(request.headers) is Scheme.STATIC

    def judge(keys: KeySet) -> Verified:
        settings = parts.settings
        return signatures.verify(
            request.headers, body, now=time.time(), secrets=settings.secrets, keys=keys, audience=settings.audience
        )

    try:
        return judge(KeySet() if is_static else await parts.keys.get())
    except UnknownKeyError:
        return judge(await parts.keys.refresh())


def _arrival(event: BatchEvent, verified: Verified) -> Arrival:
    door: Door = "static" if verified.scheme is Scheme.STATIC else "dynamic"
    return Arrival(
        batch=event.batch,
        event=event.type,
        door=door,
        delivery_id=f"{verified.scheme}:{verified.delivery_id}",
        metadata=msgspec.json.encode(event.user_metadata).decode() if event.user_metadata else "",
    )


async def _receive(parts: Parts, request: Request) -> Response:
    """The straight line of one delivery. Raises ReceiverError with the reason of a refusal."""
    body = await request.body()
    verified = await _verify(parts, request, body)
    event = parse_event(body)
    if verified.claims is not None:
        check_claims(verified.claims, event)
    about = {"scheme": str(verified.scheme), "webhook_id": verified.delivery_id, "type": event.type}
    if isinstance(event, OtherEvent):
        log.info("delivery.ignored", extra=about)
        parts.intake.note(Note("ignored", f"{verified.scheme}:{verified.delivery_id}", event.type))
        return JSONResponse({"status": "ignored"})
    accepted = await parts.intake.accept(_arrival(event, verified))
    status = "accepted" if accepted else "known"
    log.info("delivery.recorded", extra=about | {"batch": event.batch, "status": status})
    return JSONResponse({"status": status}, status_code=202 if accepted else 200)


def _refusal(error: ReceiverError, request: Request) -> Response:
    """Say no without a hint for an attacker; the log has the cause."""
    about = {"cause": str(error), "webhook_id": request.headers.get("webhook-id", "")}
    if isinstance(error, SignatureError):
        log.warning("delivery.refused", extra=about)
        request.app.state.parts.intake.note(Note("refused", f":{about['webhook_id']}", cause=str(error)))
        return JSONResponse({"error": "the delivery is not proven to come from Gemini"}, status_code=401)
    if isinstance(error, EventError):
        log.warning("delivery.malformed", extra=about)
        request.app.state.parts.intake.note(Note("malformed", f":{about['webhook_id']}", cause=str(error)))
        return JSONResponse({"error": str(error)}, status_code=400)
    log.error("delivery.unavailable", extra=about)
    headers = {"retry-after": str(RETRY_AFTER_S)}
    return JSONResponse({"error": "try again later"}, status_code=503, headers=headers)


async def webhook(request: Request) -> Response:
    """POST /webhooks/gemini: 2xx once the event is in the inbox."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        return JSONResponse({"error": "expected application/json"}, status_code=415)
    try:
        return await _receive(request.app.state.parts, request)
    except (SignatureError, EventError, InboxUnavailableError, KeySetUnavailableError) as error:
        return _refusal(error, request)
    except ClientDisconnect:
        log.info("delivery.aborted")
        return Response(status_code=400)


async def health(_request: Request) -> Response:
    """GET /health: the process serves."""
    return JSONResponse({"status": "ok"})


async def ready(request: Request) -> Response:
    """GET /ready: a delivery would be accepted now; 503 while Redis is away."""
    parts: Parts = request.app.state.parts
    with suppress(InboxUnavailableError, TimeoutError):
        await asyncio.wait_for(asyncio.to_thread(parts.inbox.ping), READY_TIMEOUT_S)
        return JSONResponse({"status": "ready"})
    return JSONResponse({"status": "not ready", "cause": "Redis does not answer"}, status_code=503)


@asynccontextmanager
async def _open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """Start what runs beside the endpoints, and stop it in reverse order."""
    async with AsyncExitStack() as stack:
        redis_client = stack.enter_context(connect(settings.redis_url))
        inbox, bell = Inbox(redis_client), Bell(redis_client)
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        intake, sweeper = Intake(inbox, bell, NoteBook(redis_client)), Sweeper(inbox, bell)
        look = functools.partial(look_once, settings, redis_client)
        reconciler = Reconciler(redis_client, settings.reconcile_interval_s, look)
        intake.start()
        stack.callback(intake.stop)
        sweeper.start()
        stack.callback(sweeper.stop)
        reconciler.start()
        stack.callback(reconciler.stop)
        yield Parts(settings, inbox, intake, KeySetCache(settings.jwks_url, client=http))


def create_app(settings: Settings) -> Starlette:
    """The ASGI application of the web process."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with _open_parts(settings) as parts:
            app.state.parts = parts
            if not settings.secrets:
                hint = "set GEMINI_WEBHOOK_SECRET: until then deliveries of a registered webhook are refused"
                log.warning("settings.no_secret", extra={"hint": hint})
            yield

    routes = [
        Route("/webhooks/gemini", webhook, methods=["POST"], max_body_size=MAX_BODY_BYTES),
        Route("/health", health),
        Route("/ready", ready),
    ]
    return Starlette(routes=routes, lifespan=lifespan)
