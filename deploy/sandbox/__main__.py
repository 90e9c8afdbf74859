"""`python -m deploy.sandbox`: the demo. `serve` runs the stand-in, `trigger` sends an event."""

import importlib
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import uvicorn
from click.core import ParameterSource

from deploy.sandbox.api.app import create_app
from deploy.sandbox.config import DAY_S, SandboxConfig
from deploy.sandbox.delivery.trigger import trigger
from deploy.sandbox.faults.fault_options import (
    FAULT_OPTIONS,
    ServeCommand,
    add_fault_options,
    read_faults,
)
from deploy.sandbox.faults.faults import Faults
from deploy.sandbox.google_api import ApiError, Json
from deploy.sandbox.replay import Replay, read_replay

SHUTDOWN_S = 2


class _DemoByDefault(click.Group):
    """Runs the demo if the first argument is not the name of a command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in (*self.list_commands(ctx), "--help"):
            args = ["demo", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["demo", *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the demo only to run it: `serve` must not need its dependencies."""
        if cmd_name == "demo":
            found: click.Command = importlib.import_module("deploy.sandbox.demo.command").demo
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
    """A stand-in for Gemini's Files, Batch and Webhooks API. Without a command it runs the demo."""


main.add_command(trigger)


@main.command(cls=ServeCommand, context_settings={"show_default": True})
@click.option("--host", default="127.0.0.1")
@click.option("--port", default=0, show_default="a free one", type=click.IntRange(0, 65535))
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of files; kept at exit.",
)
@click.option("--pending", "pending_s", default=0.2, help="Seconds that a job stays PENDING.")
@click.option(
    "--running", "running_s", default=0.5, help="Seconds that a job stays RUNNING at least."
)
@click.option("--seed", default=0, help="The same seed and request give the same answer.")
@click.option("--api-key", help="Accept this key only.  [default: any]")
@click.option(
    "--retry-base", "retry_base_s", default=1.0, help="Seconds before a delivery's second attempt."
)
@click.option(
    "--retry-for", "retry_for_s", default=DAY_S, help="Seconds after which a delivery is given up."
)
@click.option(
    "--delivery-timeout",
    "delivery_timeout_s",
    default=5.0,
    help="Seconds that a webhook may take to answer.",
)
@click.option("--disable-after", default=20, help="Failed attempts that switch a webhook off.")
@click.option(
    "--secret-overlap",
    "secret_overlap_s",
    default=DAY_S,
    help="Seconds that a rotated secret still signs.",
)
@click.option(
    "--file-ttl", "file_ttl_s", default=2 * DAY_S, help="Seconds until an uploaded file is gone."
)
@click.option(
    "--payments",
    is_flag=True,
    help="Keep in memory which requests were charged for: GET /sandbox/payments.",
)
@click.option(
    "--replay",
    "report",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    metavar="FILE",
    help="Behave as a report of `doctor --probe` says; options that are given win.",
)
@add_fault_options
@click.pass_context
def serve(
    ctx: click.Context,
    /,
    host: str,
    port: int,
    data: Path | None,
    report: Path | None,
    **others: Any,
) -> None:
    """
    Run the stand-in until SIGTERM or Ctrl-C.

    The faults below can also be set while it runs: POST /sandbox/faults with {"late_output": 2}.
    GET shows all of them, DELETE resets them to these options.
    """
    replay = Replay() if report is None else read_replay(report)
    given = {name: others.pop(name) for name in FAULT_OPTIONS}
    faults = read_faults(given)
    _apply(replay.faults, faults, given)
    others |= {
        name: value
        for name, value in replay.options.items()
        if ctx.get_parameter_source(name) is not ParameterSource.COMMANDLINE
    }
    _require_free(host, port)
    # uvicorn raises SIGTERM again at its end; exiting normally removes the folder
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with _folder(data) as folder:
        config = SandboxConfig(folder=folder, replay=replay, **others)
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


def _apply(replayed: Json, faults: Faults, given: Mapping[str, str | None]) -> None:
    """Set what a report says of faults, except those that were given."""
    try:
        faults.set({name: value for name, value in replayed.items() if given[name] is None})
    except ApiError as error:
        raise click.BadParameter(error.message, param_hint="--replay") from error


def _require_free(host: str, port: int) -> None:
    """Refuse a port in use with a readable error, where uvicorn would print an error number."""
    try:
        family, *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        cause = str(error.strerror).partition(" (")[0]  # Python adds the address in its own form
        hint = "stop the program that listens there, or choose another port with --port"
        raise click.ClickException(
            f"port {port} of {host} cannot be used ({cause}): {hint}"
        ) from error


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
