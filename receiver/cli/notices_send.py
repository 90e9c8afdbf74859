"""`notices replay`, `send` and `test`: send notices."""

import time

import click
import msgspec

from receiver.cli.batch_lookup import complete_batch, find_batches
from receiver.cli.command import command, json_option, load_settings
from receiver.cli.output import printable
from receiver.cli.projects import project_option
from receiver.cli.stored import explain_not_stored, parse_record, read_record
from receiver.errors import NoticeError, SettingsError
from receiver.inbox.redis import connect
from receiver.notices.dispatcher import send, send_due
from receiver.notices.outbox import Outbox
from receiver.notices.payloads import describe_manifest
from receiver.notices.queue import ClaimedNotice
from receiver.notices.rq_jobs import count_workers, describe_workers
from receiver.settings.notice_targets import NoticeSettings, Target
from receiver.settings.settings import Settings
from receiver.storage import open_storage


class NoticeTrial(msgspec.Struct, frozen=True):
    """What one target answered to a test."""

    host: str
    target: str  # digest of its address
    name: str  # "ops" of NOTIFY_URL__OPS
    ok: bool
    answer: str


def _load_with_targets() -> Settings:
    settings = load_settings()
    if not settings.notices.targets:
        raise SettingsError("no target is set: set NOTIFY_URL or SLACK_WEBHOOK_URL")
    return settings


@command("replay", "batches/abc")
@click.argument(
    "batches", metavar="BATCH...", nargs=-1, required=True, shell_complete=complete_batch
)
@project_option
@json_option("a JSON object")
@click.pass_context
def replay_notices(
    ctx: click.Context, batches: tuple[str, ...], *, label: str | None, as_json: bool
) -> None:
    """Send the notices of stored batches again.

    This is for notices that were lost with Redis. They are made from the manifests, and keep their
    first `webhook-id`, by which targets recognise what they already have. Exit code 1 when a batch
    is not stored.
    """
    settings = _load_with_targets()
    storage, queued, missing = open_storage(settings.storage_url), list[str](), list[str]()
    with connect(settings.redis_url) as client:
        outbox = Outbox(client, settings.notices.digests)
        for name in find_batches(settings, batches, label):
            data = read_record(storage, name)
            if data is None:
                missing.append(name)
                continue
            outbox.enqueue(name, describe_manifest(parse_record(name, data)))
            queued.append(name)
    for name in missing:
        click.echo(f"{name} is not stored: {explain_not_stored(settings, name)}", err=True)
    click.echo(
        msgspec.json.encode({"queued": queued, "not_stored": missing})
        if as_json
        else f"{len(queued)} of {len(queued) + len(missing)} queued"
    )
    if missing:
        ctx.exit(1)


@command("send")
@json_option("a JSON object")
def send_notices(*, as_json: bool) -> None:
    """Send the notices that are due, and end.

    The web process does so all the time, and workers do where there is no web process.
    """
    settings = _load_with_targets()
    with connect(settings.redis_url) as client:
        results = send_due(settings.notices, client)
    if as_json:
        click.echo(msgspec.json.encode(results))
    else:
        click.echo(
            f"{results['delivered']} delivered, {results['failed']} failed, {results['dead']} dead"
        )


@command("test")
@json_option("a JSON list")
@click.pass_context
def try_targets(ctx: click.Context, *, as_json: bool) -> None:
    """Send a test notice to every target.

    Says what each answered; NOTIFY_EVENTS keeps none back. Exit code 1 when one did not accept it.
    """
    settings = _load_with_targets()
    trials = [_try(settings.notices, target) for target in settings.notices.targets]
    if as_json:
        click.echo(msgspec.json.encode(trials))
    else:
        for trial in trials:
            mark = "ok   " if trial.ok else "WRONG"
            named = f"{trial.name}, " if trial.name else ""
            click.echo(f"{mark} {trial.host} ({named}{trial.target}): {printable(trial.answer)}")
    if not all(trial.ok for trial in trials):
        ctx.exit(1)


def _try(settings: NoticeSettings, target: Target) -> NoticeTrial:
    now_ms = int(time.time() * 1000)
    notice = ClaimedNotice(
        f"{target.digest}/msg_test{now_ms}", "", "receiver.test", "", {}, now_ms, 0
    )
    try:
        answer = send(settings, target, notice)
        said = f"{answer.said} in {answer.took_s * 1000:.0f} ms"
        if target.kind == "rq":
            said += f"; {describe_workers(count_workers(target))}"
    except NoticeError as error:
        return NoticeTrial(target.host, target.digest, target.name, ok=False, answer=str(error))
    return NoticeTrial(target.host, target.digest, target.name, ok=True, answer=said)
