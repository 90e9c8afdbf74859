"""`doctor`: is everything in place?"""

import platform
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import Any

import click
import msgspec
import redis

from receiver.cli.command import command, json_option, load_settings, skip_unknown
from receiver.cli.doctor_probe import probe_options, refuse_lone_options, run_probe
from receiver.cli.env_file import loaded_environment
from receiver.cli.gemini_checks import (
    Check,
    check_gemini,
    check_models,
    check_secrets,
    check_webhooks,
)
from receiver.cli.output import printable
from receiver.cli.progress import Progress, show_progress
from receiver.errors import (
    InboxUnavailableError,
    NoticeError,
    ReceiverError,
    UnfitRedisError,
)
from receiver.inbox.redis import connect
from receiver.inbox.redis_health import examine, find_write_obstacle
from receiver.notices.http_client import find_addresses
from receiver.notices.rq_jobs import count_workers, describe_workers
from receiver.outputs.forms import warn_of_missing_parquet
from receiver.settings.locations import describe_redis, describe_storage
from receiver.settings.notice_targets import Target
from receiver.settings.redis_urls import is_checked
from receiver.settings.settings import Settings
from receiver.status.next_steps import find_process_steps
from receiver.status.overview_queries import take_overview
from receiver.storage import open_storage
from receiver.storage.probe import probe_storage


def _check_redis(settings: Settings) -> Iterator[Check]:
    with connect(settings.redis_url) as client:
        findings, obstacle = examine(client), find_write_obstacle(client)
    refusal = next((finding.text for finding in findings if finding.level == "refuse"), obstacle)
    if refusal:
        raise UnfitRedisError(refusal)
    redis_url = describe_redis(settings.redis_url)
    said = [finding.text for finding in findings]
    if not is_checked(settings.redis_url):
        said.append("its certificate is not checked")
    warns = any(finding.level == "warn" for finding in findings)
    detail = "; but ".join([f"{redis_url} answers and takes writes", *said])
    yield Check("redis", ok=True, detail=detail, warning=warns)


def _check_processes(settings: Settings) -> Iterator[Check]:
    """Which processes run, and which one to start next.

    This never fails: the deployment that runs `doctor` may be what starts them.
    """
    try:
        with connect(settings.redis_url) as client:
            overview = take_overview(client, settings.projects)
            obstacle = find_write_obstacle(client)
    except InboxUnavailableError:
        yield Check("processes", ok=True, detail="not known: Redis does not answer", warning=True)
        return
    if obstacle:
        detail = "not known: they can't report to Redis while it takes no writes"
        yield Check("processes", ok=True, detail=detail, warning=True)
        return
    workers, due = len(overview.workers), overview.submissions.due
    for step in find_process_steps(overview.web, workers, overview.due, due):
        yield Check("next step", ok=True, detail=step, warning=True)
    running = f"{len(overview.web)} web, {workers} worker running"
    is_short = not (overview.web and overview.workers)
    yield Check("processes", ok=True, detail=running, warning=is_short)


def _check_storage(settings: Settings) -> Iterator[Check]:
    storage = open_storage(settings.storage_url)
    probe_storage(storage)
    is_told = storage.tells_case_apart()
    capitals = "kept" if is_told else "encoded, since it takes Key and key for one name"
    detail = (
        f"answers go to {describe_storage(settings.storage_url)}, which writes, reads, creates"
        f" once and deletes; capitals in names are {capitals}"
    )
    yield Check("storage", ok=True, detail=detail)


def _check_notices(settings: Settings) -> Iterator[Check]:
    """Where notices would go. Nothing is sent."""
    if not settings.notices.targets:
        yield Check(
            "notices",
            ok=True,
            detail="not sent: NOTIFY_URL and SLACK_WEBHOOK_URL are not set",
        )
    for target in settings.notices.targets:
        try:
            yield _check_target(target, private=settings.notices.private)
        except NoticeError as error:
            yield Check("notices", ok=True, detail=str(error), warning=True)


def _check_target(target: Target, *, private: bool) -> Check:
    if target.kind == "rq":
        workers = count_workers(target)
        detail = f"{target.label}: {describe_workers(workers)}"
        return Check("notices", ok=True, detail=detail, warning=not workers)
    addresses = ", ".join(find_addresses(target, private=private))
    return Check("notices", ok=True, detail=f"{target.kind} at {target.label} ({addresses})")


def _check_template(settings: Settings) -> Iterator[Check]:
    template = settings.template
    yield Check("output template", ok=True, detail=f"{template.text} gives {template.example()}")


def _check_forms(settings: Settings) -> Iterator[Check]:
    """Tables in another form than Parquet are only a warning."""
    if (warning := warn_of_missing_parquet(settings.forms)) is not None:
        yield Check("output forms", ok=True, detail=warning, warning=True)


def _check_versions(settings: Settings) -> Iterator[Check]:
    names = ("gemini-batch-receiver", "rq", "redis", "obstore")
    ours = [f"{name} {version(name)}" for name in names]
    python = f"Python {platform.python_version()}"
    yield Check("versions", ok=True, detail=", ".join([*ours, python, _redis_version(settings)]))


def _redis_version(settings: Settings) -> str:
    try:
        with connect(settings.redis_url) as client:
            about: Mapping[str, Any] = client.info("server")
    except redis.RedisError:
        return "Redis of an unknown version"

    if "valkey_version" in about:
        return f"Valkey {about['valkey_version']}"
    return f"Redis {about.get('redis_version', 'of an unknown version')}"


# In the order of the output. One that raises is shown as WRONG, and the others go on.
CHECKS: dict[str, Callable[[Settings], Iterator[Check]]] = {
    "redis": _check_redis,
    "processes": _check_processes,
    "storage": _check_storage,
    "gemini key": check_gemini,
    "model": check_models,
    "webhook secret": check_secrets,
    "webhook": check_webhooks,
    "notices": _check_notices,
    "output template": _check_template,
    "output forms": _check_forms,
    "versions": _check_versions,
}


def _examine(settings: Settings, bar: Progress) -> Iterator[Check]:
    where = loaded_environment().note.removesuffix(".")
    yield Check("settings", ok=True, detail=f"complete. {where}")
    for text in settings.unknown:
        yield Check("settings", ok=True, detail=text, warning=True)
    for name, check in CHECKS.items():
        try:
            yield from check(settings)
        except ReceiverError as error:
            yield Check(name, ok=False, detail=str(error))
        bar.advance()


@command("doctor", "", "--json", "--probe", "--probe --yes --report gemini-probe.json")
@probe_options
@json_option("a JSON list, of a probe the report,")
@click.pass_context
def doctor(ctx: click.Context, /, *, as_json: bool, probe: bool, **options: Any) -> None:
    """Check settings, Redis, storage, keys, webhooks and clock.

    Also says which processes run, and names the versions of all parts. Exit code 1 when something
    is WRONG; a warning does not change it.

    --probe tries Gemini instead, for less than $0.01: it sends three small batches, and writes what
    Gemini answered and delivered to a file without secrets or contents, for an issue of this
    project. All that it makes at Gemini is deleted at its end. Exit code 1 when a part failed, a
    delivery did not come, or something is left.
    """
    refuse_lone_options(ctx, probe=probe)
    if probe:
        run_probe(ctx, as_json=as_json, **options)
        return
    settings = load_settings(on_unknown=skip_unknown)
    with show_progress("checking", "checks", len(CHECKS)) as bar:
        checks = list(_examine(settings, bar))
    if as_json:
        click.echo(msgspec.json.encode(checks))
    else:
        for check in checks:
            click.echo(f"{_mark(check)} {check.check}: {printable(check.detail)}")
    if not all(check.ok for check in checks):
        ctx.exit(1)


def _mark(check: Check) -> str:
    if not check.ok:
        return "WRONG"
    return "WARN " if check.warning else "ok   "
