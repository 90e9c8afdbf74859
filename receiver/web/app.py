"""The web process: webhook endpoints, what runs beside them, and how it says that it is well."""

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from receiver.gemini.webhook_evidence import Evidence
from receiver.inbox.async_ledger import AsyncInbox
from receiver.inbox.delivery_log import DeliveryLog
from receiver.inbox.job_queue import JobQueue
from receiver.inbox.ledger import Inbox
from receiver.inbox.redis import connect
from receiver.inbox.redispatch import Sweeper
from receiver.notices.dispatcher import Dispatcher
from receiver.recovery.scheduler import ReconcileScheduler, reconcile_due_projects
from receiver.recovery.web_presence import Presence
from receiver.settings.projects import SECRET, Project
from receiver.settings.settings import Settings
from receiver.status.routes import StatusPage
from receiver.telemetry.metrics.counters import Counters
from receiver.telemetry.tracing import OwnTraces, is_traced
from receiver.verification.jwks import KeySetCache
from receiver.web.accept_batcher import AcceptBatcher
from receiver.web.metrics_endpoint import MetricsEndpoint, MetricsReader
from receiver.web.readiness import Readiness, ready
from receiver.web.webhook_endpoint import AppState, WebhookEndpoint

MAX_BODY_BYTES = 1024 * 1024
log = logging.getLogger(__name__)


async def health(_request: Request) -> Response:
    """GET /health: the process serves."""
    return JSONResponse({"status": "ok"})


@asynccontextmanager
async def _open_parts(
    settings: Settings, evidence: Mapping[str, Evidence]
) -> AsyncIterator[AppState]:
    """Start what runs beside the endpoints, and stop it in reverse order."""
    async with AsyncExitStack() as stack:
        redis_client = stack.enter_context(connect(settings.redis_url))
        inbox, job_queue = Inbox(redis_client), JobQueue(redis_client)
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        acceptor = await stack.enter_async_context(AsyncInbox(settings.redis_url))
        intake, sweeper = (
            AcceptBatcher(acceptor, job_queue, DeliveryLog(redis_client)),
            Sweeper(inbox, job_queue),
        )
        counters = Counters(redis_client)
        meter = MetricsReader(redis_client, counters, list(settings.projects.values()))
        reconcile = functools.partial(reconcile_due_projects, settings, redis_client)
        reconciler = ReconcileScheduler(redis_client, settings, reconcile)
        counters.start()
        stack.callback(counters.stop)
        intake.start()
        stack.push_async_callback(intake.stop)
        sweeper.start()
        stack.callback(sweeper.stop)
        reconciler.start()
        stack.callback(reconciler.stop)
        presence = Presence(redis_client, settings, evidence)
        presence.start()
        stack.push_async_callback(asyncio.to_thread, presence.stop)
        sender = Dispatcher(settings.notices, redis_client)
        sender.start()
        stack.push_async_callback(asyncio.to_thread, sender.stop)
        keys, readiness = KeySetCache(settings.jwks_url, client=http), Readiness(redis_client)
        yield AppState(intake, keys, counters, meter, readiness, redis_client)


def _warn_of_no_secret(project: Project) -> None:
    hint = (
        f"set {project.variable(SECRET)}: until then deliveries of a registered webhook are refused"
    )
    log.warning("secret.missing", extra={"hint": hint})


def create_app(settings: Settings) -> Starlette:
    """The ASGI application of the web process."""
    evidence = {name: Evidence() for name in settings.projects}

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with _open_parts(settings, evidence) as parts:
            app.state.parts = parts
            for project in settings.projects.values():
                if not project.secrets:
                    _warn_of_no_secret(project)
            yield

    routes = [
        Route(
            project.path,
            WebhookEndpoint(project, evidence[name]).post,
            methods=["POST"],
            max_body_size=MAX_BODY_BYTES,
        )
        for name, project in settings.projects.items()
    ]
    if settings.metrics_token:
        routes.append(Route("/metrics", MetricsEndpoint(settings.metrics_token).get))
    if settings.status_token:
        routes += StatusPage(settings, lambda request: request.app.state.parts.redis).routes()
    app = Starlette(
        routes=[*routes, Route("/health", health), Route("/ready", ready)], lifespan=lifespan
    )
    if is_traced():
        app.add_middleware(OwnTraces)  # before the one that OpenTelemetry has added
    app.router.redirect_slashes = False  # a redirect would repeat the Host that the sender wrote
    return app
