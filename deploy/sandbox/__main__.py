"""`python -m deploy.sandbox`: the demo, with `serve` the stand-in alone, with `trigger` one delivery."""

import importlib
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import uvicorn

from deploy.sandbox.app import create_app
from deploy.sandbox.config import SandboxConfig
from deploy.sandbox.knobs import ServeCommand, knob_options, read_knobs
from deploy.sandbox.trigger import trigger

SHUTDOWN_S = 2


class _DemoByDefault(click.Group):
    """Everything that does not start with a command's name belongs to the demo."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in (*self.list_commands(ctx), "--help"):
            args = ["demo", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["demo", *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The demo is imported only when it runs: `serve` must start without what the demo needs."""
        if cmd_name == "demo":
            found: click.Command = importlib.import_module("deploy.sandbox.demo").demo
            return found
        return super().get_command(ctx, cmd_name)


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            print(f"Sandbox of the Gemini API on http://{host}:{port}", flush=True)


@click.group(cls=_DemoByDefault)
def main() -> None:
    """A stand-in of Gemini's Files, Batch and Webhooks API. Without a command: the demo."""


main.add_command(trigger)


@main.command(cls=ServeCommand)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, show_default="a free one", type=click.IntRange(0, 65535))
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Folder of files; kept at exit.")
@click.option("--pending", default=0.2, show_default=True, help="Seconds that a job stays PENDING.")
@click.option("--running", default=0.5, show_default=True, help="Seconds that a job stays RUNNING at least.")
@click.option("--seed", default=0, show_default=True, help="The same seed and request give the same answer.")
@click.option("--api-key", help="Accept this key only.  [default: any]")
@click.option("--retry-base", default=1.0, show_default=True, help="Seconds before a delivery's second attempt.")
@click.option("--disable-after", default=20, show_default=True, help="Failed attempts that switch a webhook off.")
@knob_options
def serve(  # noqa: PLR0913, PLR0917 - one parameter for each option
    host: str,
    port: int,
    data: Path | None,
    pending: float,
    running: float,
    seed: int,
    api_key: str | None,
    retry_base: float,
    disable_after: int,
    **knobs: str | None,
) -> None:
    """
    Run the stand-in until SIGTERM or Ctrl-C.

    The faults below can also be turned while it runs: POST /sandbox/faults with {"late_output": 2}, GET shows all,
    DELETE puts them back as they were at the start.
    """
    faults = read_knobs(knobs)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again at its end; the folder must go
    with _folder(data) as folder:
        config = SandboxConfig(
            folder=folder,
            pending_s=pending,
            running_s=running,
            seed=seed,
            api_key=api_key,
            retry_base_s=retry_base,
            disable_after=disable_after,
        )
        options = uvicorn.Config(
            create_app(config, faults),
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_S,
        )
        _Server(options).run()


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    if data is not None:
        data.mkdir(parents=True, exist_ok=True)
        yield data.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="gemini-sandbox-") as folder:
        yield Path(folder)


if __name__ == "__main__":
    main()
