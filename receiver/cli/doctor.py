"""`doctor`: is everything in place?"""

import secrets
from collections.abc import Callable, Iterator

import click
import msgspec

from receiver.cli.group import cli, load_settings
from receiver.errors import AlreadyStoredError, ReceiverError, StorageError, UnfitRedisError
from receiver.inbox import connect
from receiver.projects import Project
from receiver.redis_health import examine
from receiver.redis_urls import is_checked
from receiver.settings import Settings
from receiver.storage import open_storage


class Finding(msgspec.Struct):
    check: str
    ok: bool
    detail: str


def _check_redis(settings: Settings) -> str:
    with connect(settings.redis_url) as client:
        findings = examine(client)
    refusal = next((finding.text for finding in findings if finding.level == "refuse"), None)
    if refusal:
        raise UnfitRedisError(refusal)
    said = [finding.text for finding in findings]
    if not is_checked(settings.redis_url):
        said.append("its certificate is not checked")
    return "; but ".join(["answers", *said])


def _check_storage(settings: Settings) -> str:
    """Write, create once, read and delete a probe object."""
    storage = open_storage(settings.storage_url)
    name, data = f"_doctor/{secrets.token_hex(8)}", b"probe\n"
    storage.create(name, data)
    try:
        storage.create(name, data)
    except AlreadyStoredError:
        pass
    else:
        raise StorageError("the storage created one object twice: two workers could commit one batch")
    try:
        if storage.read(name) != data:
            raise StorageError("the storage did not give back what was written")
    finally:
        storage.delete(name)
    return "writes, reads, creates once and deletes"


def _check_secrets(settings: Settings) -> str:
    return "; ".join(_secrets_of(project) for project in settings.projects.values())


def _secrets_of(project: Project) -> str:
    count = f"{len(project.secrets)} secret(s)" if project.secrets else "none yet: registered webhooks are refused"
    return f"{count} at {project.path}"


CHECKS: dict[str, Callable[[Settings], str]] = {
    "redis": _check_redis,
    "storage": _check_storage,
    "webhook secret": _check_secrets,
    "output template": lambda settings: f"{settings.template.text} gives {settings.template.example()}",
}


def _examine(settings: Settings) -> Iterator[Finding]:
    yield Finding("settings", ok=True, detail="complete")
    for name, check in CHECKS.items():
        try:
            yield Finding(name, ok=True, detail=check(settings))
        except ReceiverError as error:
            yield Finding(name, ok=False, detail=str(error))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of lines.")
@click.pass_context
def doctor(ctx: click.Context, *, as_json: bool) -> None:
    """Check settings, Redis and storage; exit code 1 when something is wrong."""
    findings = list(_examine(load_settings()))
    if as_json:
        click.echo(msgspec.json.encode(findings))
    else:
        for finding in findings:
            click.echo(f"{'ok   ' if finding.ok else 'WRONG'} {finding.check}: {finding.detail}")
    if not all(finding.ok for finding in findings):
        ctx.exit(1)
