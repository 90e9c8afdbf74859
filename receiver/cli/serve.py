"""`serve`: the web process."""

import gc
import logging
import os
import socket
import sys
from contextlib import suppress

import click
import uvicorn

from receiver.cli.command import command, load_settings, log_unknown
from receiver.errors import InboxUnavailableError
from receiver.inbox.redis import connect
from receiver.inbox.redis_health import check_at_start
from receiver.settings.parsers import MAX_PROCESSES
from receiver.settings.settings import Settings
from receiver.telemetry.logs import flush_logs, log_uncaught_errors
from receiver.telemetry.tracing import flush_spans
from receiver.web.app import create_app
from receiver.web.http_protocol import LimitedProtocol
from receiver.web.listening import open_sockets

if sys.platform != "win32":
    import resource

GRACEFUL_S = 4  # Fly, honcho and foreman kill five seconds after their signal
log = logging.getLogger(__name__)


def _check_redis(settings: Settings) -> None:
    """Refuse a Redis that may lose data. One that does not answer may do so later."""
    try:
        with connect(settings.redis_url) as client:
            check_at_start(client)
    except InboxUnavailableError as error:
        log.warning("redis.unchecked", extra={"cause": str(error)})


def _allow_descriptors() -> None:
    """Raise the limit of open connections: a crowd of slow clients reaches the usual 1,024."""
    if sys.platform != "win32":
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        with suppress(
            OSError, ValueError
        ):  # macOS says that its limit is infinite, which it is not
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class _Server(uvicorn.Server):
    """Logs its start and end as our events; uvicorn's own messages are for a terminal."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            where = {"host": self.config.host, "port": self.config.port, "pid": os.getpid()}
            log.info("server.listening", extra=where)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        log.info("server.stopping", extra={"connections": len(self.server_state.connections)})
        await super().shutdown(sockets)
        log.info("server.stopped")
        # uvicorn passes the signal on, which ends the process at once.
        flush_logs()
        flush_spans()


@command("serve", "", "--host 0.0.0.0 --port 8080")
@click.option("--host", help="Address to listen on.  [env HOST, default 127.0.0.1]")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Port to listen on.  [env PORT, default 8000]"
)
@click.option(
    "--workers",
    type=click.IntRange(1, MAX_PROCESSES),
    help="How many processes share the port.  [env WEB_CONCURRENCY, default 1]",
)
def serve(host: str | None, port: int | None, workers: int | None) -> None:
    """Run the web process.

    It answers POST /webhooks/gemini, GET /health, GET /ready, GET /metrics, GET /status and /api.
    With several --workers, a process that ends is replaced, and SIGTERM ends all of them.
    """
    settings = load_settings(on_unknown=log_unknown, host=host, port=port, web_concurrency=workers)
    log_uncaught_errors()
    sockets = open_sockets(settings.host, settings.port)
    _check_redis(settings)
    _allow_descriptors()
    server = _Server(_configure(settings))

    # What the imports made never becomes garbage, and walking it slows down some answers.
    gc.collect()
    gc.freeze()
    with suppress(KeyboardInterrupt):  # the signal is passed on once all has stopped
        if settings.web_concurrency == 1:
            server.run(sockets)
        else:
            from receiver.service.forks import Forks  # noqa: PLC0415 - few need it

            Forks(settings.web_concurrency, lambda: server.run(sockets), sockets).run()


def _configure(settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        workers=1,  # else uvicorn reads WEB_CONCURRENCY itself, and refuses an app object
        http=LimitedProtocol,
        ws="none",
        proxy_headers=False,  # anybody can send X-Forwarded-*, and nothing here needs them
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACEFUL_S,
    )
