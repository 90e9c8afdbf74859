"""The web process: webhook endpoints, what runs beside them, and its health."""

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route

from receiver.gemini.webhook_reports import Evidence
from receiver.http import httpx, proxy_for
from receiver.inbox.delivery_log import DeliveryLog
from receiver.inbox.job_queue import JobQueue
from receiver.inbox.ledgers import open_ledgers
from receiver.inbox.redis import connect
from receiver.inbox.redispatch import Sweeper
from receiver.notices.dispatcher import Dispatcher
from receiver.recovery.scheduler import ReconcileScheduler, reconcile_due_projects
from receiver.recovery.web_presence import Presence
from receiver.settings.projects import SECRET, Project
from receiver.settings.settings import Settings
from receiver.status.routes import StatusPage
from receiver.telemetry.metrics.counters import Counters
from receiver.telemetry.tracing import ForeignTraceFilter, is_traced
from receiver.verification.jwks import KeySetCache
from receiver.web.accept_batcher import AcceptBatcher, AsyncInbox
from receiver.web.health import Readiness, health, ready
from receiver.web.metrics_endpoint import MetricsEndpoint, MetricsReader
from receiver.web.webhook_endpoint import AppState, WebhookEndpoint

log = logging.getLogger(__name__)


@asynccontextmanager
async def _open_state(
    settings: Settings, evidence: Mapping[str, Evidence]
) -> AsyncIterator[AppState]:
    """Start what runs beside the endpoints, and stop it in reverse order."""
    async with AsyncExitStack() as stack:
        client = stack.enter_context(connect(settings.redis_url))
        proxy = proxy_for(settings.jwks_url)
        http = await stack.enter_async_context(httpx.AsyncClient(proxy=proxy, trust_env=False))
        async_inbox = await stack.enter_async_context(AsyncInbox(settings.redis_url))
        jobs = JobQueue(client)

        counters = Counters(client)
        counters.start()
        stack.callback(counters.stop)

        api_keys = [project.api_key for project in settings.projects.values()]
        batcher = AcceptBatcher(async_inbox, jobs, DeliveryLog(client, api_keys))
        batcher.start()
        stack.push_async_callback(batcher.stop)

        sweeper = Sweeper(open_ledgers(client), jobs)
        sweeper.start()
        stack.callback(sweeper.stop)

        reconcile = functools.partial(reconcile_due_projects, settings, client)
        reconciler = ReconcileScheduler(client, settings, reconcile)
        reconciler.start()
        stack.callback(reconciler.stop)

        presence = Presence(client, settings, evidence)
        presence.start()
        stack.push_async_callback(asyncio.to_thread, presence.stop)

        dispatcher = Dispatcher(settings.notices, client)
        dispatcher.start()
        stack.push_async_callback(asyncio.to_thread, dispatcher.stop)

        yield AppState(
            batcher=batcher,
            keys=KeySetCache(settings.jwks_url, client=http),
            counters=counters,
            metrics=MetricsReader(client, counters, list(settings.projects.values())),
            readiness=Readiness(client),
            redis=client,
        )


def _warn_of_missing_secrets(projects: Iterable[Project]) -> None:
    for project in projects:
        if not project.secrets:
            hint = (
                f"set {project.variable(SECRET)}: until then deliveries of a registered webhook are"
                " refused"
            )
            log.warning("secret.missing", extra={"hint": hint})


def create_app(settings: Settings) -> Starlette:
    """The ASGI application of the web process."""
    evidence = {name: Evidence() for name in settings.projects}

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with _open_state(settings, evidence) as state:
            app.state.parts = state
            _warn_of_missing_secrets(settings.projects.values())
            yield

    routes = [
        Route(project.path, WebhookEndpoint(project, evidence[name]), methods=["POST"])
        for name, project in settings.projects.items()
    ]
    error_pages: dict[Any, Any] = {}
    if settings.metrics_token:
        routes.append(Route("/metrics", MetricsEndpoint(settings.metrics_token).get))
    if settings.status_token:
        page = StatusPage(settings, lambda request: request.app.state.parts.redis)
        routes += page.routes()
        error_pages = dict.fromkeys((404, 405), page.report_error)
    if settings.api_token:
        from receiver.api.routes import api_routes  # noqa: PLC0415 - few need it

        routes += api_routes(settings, lambda request: request.app.state.parts.redis)
    app = Starlette(
        routes=[*routes, Route("/health", health), Route("/ready", ready)],
        lifespan=lifespan,
        exception_handlers=error_pages,
    )
    if is_traced():
        app.add_middleware(ForeignTraceFilter)  # runs before the one that OpenTelemetry has added
    app.router.redirect_slashes = False  # a redirect would repeat the sender's Host header
    return app
