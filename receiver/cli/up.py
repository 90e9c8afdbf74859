"""`up`: the whole service on one machine."""

import asyncio
import logging
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from receiver.cli.command import command, load_settings, skip_unknown
from receiver.cli.env_file import loaded_environment, shell_command, shell_secret_option
from receiver.service.data_folder import DataFolder
from receiver.service.output import choose_output
from receiver.service.program import Program
from receiver.service.supervisor import supervise
from receiver.service.valkey import valkey_argv
from receiver.service.waiting import wait_for_listener, wait_for_redis
from receiver.settings.dotenv_loading import DATA_FOLDER
from receiver.settings.locations import describe_storage
from receiver.settings.settings import Settings
from receiver.settings.up_file import find_addresses, write_up_file
from receiver.settings.web_urls import format_host
from receiver.storage import open_storage
from receiver.telemetry.logs import set_up_logs
from receiver.web.listening import open_sockets

PLAIN = ("PATH", "LANG", "TZ", "LD_LIBRARY_PATH")
log = logging.getLogger(__name__)


@command("up", "", "--workers 2")
@click.option(
    "--workers",
    "worker_count",
    type=click.IntRange(1, 99),
    default=1,
    show_default=True,
    help="How many worker processes; each works on one batch at a time.",
)
@click.option(
    "--data",
    "data_folder",
    type=click.Path(file_okay=False, path_type=Path),
    envvar=DATA_FOLDER.name,
    default=DATA_FOLDER.default,
    show_default=True,
    help="Folder of its Valkey and, without STORAGE_URL, of the outputs.  [env DATA_FOLDER]",
)
@click.option("--host", help="Address to listen on.  [env HOST or 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), help="Its port.  [env PORT or 8000]")
def up(*, worker_count: int, data_folder: Path, host: str | None, port: int | None) -> None:
    """Run the whole service on one machine.

    That is the web process, workers and, without REDIS_URL, a Valkey. A program that ends is
    started again. Ctrl-C or SIGTERM stops all of it: workers hand their batches back, Valkey ends
    last, and a second signal kills. The next start goes on where this one ended, however it ended.
    Exit code 1 when a program can't be kept running.
    """
    folder = DataFolder(data_folder.absolute())
    is_own_redis = _complete_environment(folder)
    settings = load_settings(on_unknown=skip_unknown, host=host, port=port)
    settings = _settle_log_format(settings)
    valkey = [Program("valkey", valkey_argv(folder), _plain_environment())] if is_own_redis else []
    folder.create()
    open_storage(settings.storage_url)  # one that can't be used stops the start
    with folder.locked() as lock:
        for one in open_sockets(settings.host, settings.port):  # to say of a taken port at once
            one.close()
        write_up_file(folder.path, _find_used(folder, settings))
        programs = _plan_programs(settings, worker_count, web_waits=is_own_redis)
        layers = [layer for layer in (valkey, programs) if layer]
        output = choose_output(settings.log_format)
        asyncio.run(supervise(layers, lock, output, _announce(settings, folder)))


def _complete_environment(folder: DataFolder) -> bool:
    """Set where Redis and the outputs are, unless somebody has. Whether the Redis is our own."""
    for name in loaded_environment().of_up:  # what the last `up` wrote for others
        del os.environ[name]
    redis_url = os.environ.get("REDIS_URL", "").strip()
    is_unset = not (redis_url or os.environ.get("REDIS_URL_FILE", "").strip())
    is_own = is_unset or redis_url == folder.redis_url
    if is_own:
        os.environ["REDIS_URL"] = folder.redis_url
    if not os.environ.get("STORAGE_URL", "").strip():
        os.environ["STORAGE_URL"] = folder.storage_url
    return is_own


def _settle_log_format(settings: Settings) -> Settings:
    """Our programs write into a pipe; it is to look as if they wrote on our own stderr."""
    if settings.log_format != "auto":
        return settings
    form = "text" if sys.stderr.isatty() else "json"
    set_up_logs(settings.log_level, form)
    return replace(settings, log_format=form)


def _find_used(folder: DataFolder, settings: Settings) -> list[str]:
    """The variables whose addresses are in the data folder."""
    used = {settings.redis_url, settings.storage_url}
    return [name for name, url in find_addresses(folder.path).items() if url in used]


def _plain_environment() -> dict[str, str]:
    """For a program that needs no secrets."""
    return {name: os.environ[name] for name in PLAIN if name in os.environ}


def _plan_programs(settings: Settings, worker_count: int, *, web_waits: bool) -> Sequence[Program]:
    """The web process starts without Redis too, so it waits for ours alone; a worker would end."""
    environment = {
        **os.environ,
        "HOST": settings.host,
        "PORT": str(settings.port),
        "LOG_FORMAT": settings.log_format,
        "PYTHONSAFEPATH": "1",  # a folder `workers` in the working folder is somebody else's
    }
    command, wait = [sys.executable, "-m", "workers"], partial(wait_for_redis, settings.redis_url)
    web = Program("web", [*command, "serve"], environment, wait if web_waits else None)
    names = [f"worker {number}" for number in range(1, worker_count + 1)]
    return [web, *(Program(name, [*command, "worker"], environment, wait) for name in names)]


async def _announce(settings: Settings, folder: DataFolder) -> None:
    """Say that it runs, and to a person what comes next."""
    await wait_for_listener(settings.host, settings.port)
    answers = describe_storage(settings.storage_url)
    where = {"host": settings.host, "port": settings.port, "answers": answers}
    log.info("service.ready", extra=where)
    if settings.log_format == "text":
        click.echo(f"\n{_describe(settings, folder)}\n", err=True)


def _describe(settings: Settings, folder: DataFolder) -> str:
    is_own_redis = settings.redis_url == folder.redis_url
    redis = f"its own, in {folder.valkey}" if is_own_redis else "that of REDIS_URL"
    env_file = loaded_environment().file
    command = shell_command(env_file)
    lines = [
        f"Running at http://{format_host(settings.host)}:{settings.port}; Ctrl-C stops all of it.",
        f"  answers: {describe_storage(settings.storage_url)}",
        f"  Redis:   {redis}",
        "Next, in another terminal and this folder:",
        *_find_folder_setting(folder),
        f"  {command} doctor",
    ]
    if not any(project.secrets for project in settings.projects.values()):
        lines += [
            f"  {command} webhooks create{shell_secret_option(env_file)}",
            "    (as soon as Gemini can reach PUBLIC_URL; then start `up` again)",
        ]
    return "\n".join(lines)


def _find_folder_setting(folder: DataFolder) -> list[str]:
    """What other commands must be told, where they would look for another data folder."""
    looked_for = Path(os.environ.get(DATA_FOLDER.name) or DATA_FOLDER.default).absolute()
    if looked_for == folder.path:
        return []
    return [f"  export {DATA_FOLDER.name}={shlex.quote(str(folder.path))}"]
