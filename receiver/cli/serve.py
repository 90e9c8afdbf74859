"""`serve`: the web process."""

import gc
import logging

import click
import uvicorn

from receiver.app import create_app
from receiver.cli.group import cli, load_settings
from receiver.errors import InboxUnavailableError
from receiver.inbox import connect
from receiver.redis_health import check_at_start
from receiver.settings import Settings

GRACEFUL_S = 8  # PaaS platforms kill ten seconds after SIGTERM
log = logging.getLogger(__name__)


def _check_redis(settings: Settings) -> None:
    """Refuse a Redis that loses what it is given. One that does not answer is waited for with the doors open."""
    try:
        with connect(settings.redis_url) as client:
            check_at_start(client)
    except InboxUnavailableError as error:
        log.warning("redis.unchecked", extra={"cause": str(error)})


@cli.command()
@click.option("--host", help="Address to listen on.  [env HOST, default 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on.  [env PORT, default 8000]")
def serve(host: str | None, port: int | None) -> None:
    """Run the web process: POST /webhooks/gemini, GET /health, GET /ready."""
    settings = load_settings(host=host, port=port)
    _check_redis(settings)
    app = create_app(settings)
    gc.collect()
    gc.freeze()  # the imports' heap never becomes garbage; walking it shows in the slowest answers
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACEFUL_S,
    )
