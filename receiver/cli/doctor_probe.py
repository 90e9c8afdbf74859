"""`doctor --probe`: tries Gemini with a real key, and writes a report for an issue."""

import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from receiver.cli.command import load_settings
from receiver.cli.output import printable
from receiver.cli.projects import project_option, read_project
from receiver.errors import ReceiverError
from receiver.probe.redaction import find_leaks
from receiver.probe.report import Report, encode_report
from receiver.probe.run import Outcome, ProbeRun
from receiver.settings.settings import Settings

DEFAULT_REPORT = "gemini-probe.json"
DEFAULT_WAIT_MIN = 30.0
_OPTIONS = (
    click.option("--probe", is_flag=True, help="Try Gemini for real, for less than $0.01."),
    click.option("--yes", is_flag=True, help="With --probe: pay for it, without asking."),
    click.option(
        "--report",
        type=click.Path(dir_okay=False, writable=True, path_type=Path),
        default=DEFAULT_REPORT,
        show_default=True,
        help="With --probe: where the report goes.",
    ),
    click.option(
        "--wait",
        "wait_min",
        type=click.FloatRange(0.1, 24 * 60),
        default=DEFAULT_WAIT_MIN,
        show_default=True,
        help="With --probe: minutes to wait for the batches to end.",
    ),
    project_option,
)


def probe_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def refuse_lone_options(ctx: click.Context, *, probe: bool) -> None:
    """Raises UsageError for an option of the probe without `--probe`."""
    names = {"yes": "--yes", "report": "--report", "wait_min": "--wait", "label": "--project"}
    for name, option in names.items():
        is_given = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if is_given and not probe:
            raise click.UsageError(f"{option} is for --probe: add it, or leave {option} out")


def run_probe(  # noqa: PLR0913 - one parameter per option
    ctx: click.Context,
    *,
    as_json: bool,
    yes: bool,
    report: Path,
    wait_min: float,
    label: str | None,
) -> None:
    """Run the command; the exit code is that of `_exit_code`."""
    settings = load_settings()
    project = read_project(settings, label)
    if not report.absolute().parent.is_dir():
        raise click.UsageError(f"the folder of {report} does not exist: choose another --report")

    def agree(what: str) -> None:
        click.echo(f"This sends {what}.", err=True)
        if yes:
            return
        if not sys.stdin.isatty():
            raise click.UsageError(f"this would send {what}: add --yes to do it")
        click.confirm("Go on?", abort=True, err=True)

    run = ProbeRun(settings, project, wait_min * 60, _say, agree)
    with _stopped_by_sigterm():
        outcome = run.run()
    data = encode_report(outcome.report)
    _refuse_leaks(data, [*known_secrets(settings), *outcome.names])
    report.write_bytes(data)
    click.echo(data.decode() if as_json else _describe(outcome.report), nl=False)
    click.echo(f"The report is in {report}: attach it to an issue", err=True)
    ctx.exit(_exit_code(outcome))


def known_secrets(settings: Settings) -> Iterator[str]:
    """What no report may hold: secrets of the settings, and names of hosts that look like ones."""
    for project in settings.projects.values():
        yield project.api_key
        yield from (secret.show().removeprefix("whsec_") for secret in project.secrets)
        yield project.audience or ""
    yield urlsplit(settings.redis_url).password or ""
    yield settings.metrics_token or ""
    yield settings.status_token or ""
    hosts = (urlsplit(settings.public_url or "").hostname or "", socket.gethostname())
    yield from (host for host in hosts if not host.isalpha())


def _refuse_leaks(data: bytes, secrets: list[str]) -> None:
    if leaks := find_leaks(data.decode(), secrets):
        raise ReceiverError(
            f"the report is not written, since it would hold {', '.join(leaks)}: this is a fault"
            " of this program, please report it without the file"
        )


def _exit_code(outcome: Outcome) -> int:
    if outcome.is_interrupted:
        return 130
    wrong = any(part.result in ("failed", "not seen") for part in outcome.report.parts)
    return int(wrong or bool(outcome.left))


def _say(text: str) -> None:
    click.echo(printable(text), err=True)


def _describe(report: Report) -> str:
    rows = [f"{part.result:<10} {part.part}: {part.detail}" for part in report.parts]
    return "".join(f"{row.removesuffix(': ')}\n" for row in rows)


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the probe as Ctrl-C does, so that it deletes what it made."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
