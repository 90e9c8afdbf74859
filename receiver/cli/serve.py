"""`serve`: the web process."""

import gc
import logging
import socket
import sys
from contextlib import suppress

import click
import uvicorn

from receiver.cli.command import command, load_settings, warn_of_unknown
from receiver.errors import InboxUnavailableError
from receiver.inbox.redis import connect
from receiver.inbox.redis_health import check_at_start
from receiver.settings.settings import Settings
from receiver.telemetry.logs import log_uncaught_errors
from receiver.telemetry.tracing import flush_spans
from receiver.web.app import create_app
from receiver.web.http_protocol import LimitedProtocol
from receiver.web.listening import open_sockets

if sys.platform != "win32":
    import resource

GRACEFUL_S = 4  # Fly, honcho and foreman kill five seconds after their signal
log = logging.getLogger(__name__)


def _check_redis(settings: Settings) -> None:
    """Refuse a Redis that loses what it is given. One that does not answer is waited for with the endpoints open."""
    try:
        with connect(settings.redis_url) as client:
            check_at_start(client)
    except InboxUnavailableError as error:
        log.warning("redis.unchecked", extra={"cause": str(error)})


def _allow_descriptors() -> None:
    """Take as many connections as the system lets us: the usual first limit of 1,024 is a crowd of slow clients."""
    if sys.platform != "win32":
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        with suppress(OSError, ValueError):  # macOS calls its limit infinite, and means less
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class _Server(uvicorn.Server):
    """Tells of its life in our own words; uvicorn's are for a terminal."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            log.info("server.listening", extra={"host": self.config.host, "port": self.config.port})

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        log.info("server.stopping", extra={"connections": len(self.server_state.connections)})
        await super().shutdown(sockets)
        log.info("server.stopped")
        flush_spans()  # the signal that uvicorn passes on ends the process at once


@command("serve")
@click.option("--host", help="Address to listen on.  [env HOST, default 127.0.0.1]")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Port to listen on.  [env PORT, default 8000]"
)
def serve(host: str | None, port: int | None) -> None:
    """Run the web process: POST /webhooks/gemini, GET /health, GET /ready, GET /metrics, GET /status."""
    settings = load_settings(host=host, port=port)
    log_uncaught_errors()
    warn_of_unknown(settings)
    sockets = open_sockets(settings.host, settings.port)
    _check_redis(settings)
    _allow_descriptors()
    app = create_app(settings)
    gc.collect()
    gc.freeze()  # the imports' heap never becomes garbage; walking it shows in the slowest answers
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        workers=1,  # uvicorn would read WEB_CONCURRENCY, which Heroku sets, and refuse an app that is no import string
        http=LimitedProtocol,
        ws="none",
        proxy_headers=False,  # anybody can send X-Forwarded-*: nothing here needs them, so nothing listens to them
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACEFUL_S,
    )
    with suppress(KeyboardInterrupt):  # uvicorn passes the signal on once it has stopped
        _Server(config).run(sockets)
