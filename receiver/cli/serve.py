"""`serve`: the web process."""

import gc

import click
import uvicorn

from receiver.app import create_app
from receiver.cli.group import cli, load_settings

GRACEFUL_S = 8  # PaaS platforms kill ten seconds after SIGTERM


@cli.command()
@click.option("--host", help="Address to listen on.  [env HOST, default 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on.  [env PORT, default 8000]")
def serve(host: str | None, port: int | None) -> None:
    """Run the web process: POST /webhooks/gemini, GET /health, GET /ready."""
    settings = load_settings(host=host, port=port)
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
