"""`notices replay`, `send` and `test`: what makes notices go out."""

import time

import click
import msgspec

from receiver.cli.command import command, load_settings
from receiver.cli.printable import printable
from receiver.cli.projects import project_option, read_name
from receiver.cli.stored import parse_record, read_record, tell_whereabouts
from receiver.errors import NoticeError, SettingsError
from receiver.inbox.redis import connect
from receiver.notices.dispatcher import send, send_due
from receiver.notices.outbox import Outbox
from receiver.notices.payloads import describe_manifest
from receiver.notices.queue import Claimed
from receiver.settings.notice_targets import NoticeSettings, Target
from receiver.settings.settings import Settings
from receiver.storage import open_storage


class Trial(msgspec.Struct, frozen=True):
    """What one target answered to a test."""

    host: str
    target: str  # digest of its address
    ok: bool
    answer: str


def _load_with_targets() -> Settings:
    settings = load_settings()
    if not settings.notices.targets:
        raise SettingsError("nobody is told anything: set NOTIFY_URL or SLACK_WEBHOOK_URL")
    return settings


@command("replay")
@click.argument("batches", nargs=-1, required=True)
@project_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of words.")
@click.pass_context
def replay_notices(
    ctx: click.Context, batches: tuple[str, ...], *, label: str | None, as_json: bool
) -> None:
    """Owe every target the notices of these stored batches again; exit code 1 when one is not stored.

    For what was lost with Redis. They are made of the manifests and have the `webhook-id` of the first time, so that
    who heard them already can tell.
    """
    settings = _load_with_targets()
    storage, owed, missing = open_storage(settings.storage_url), list[str](), list[str]()
    with connect(settings.redis_url) as client:
        outbox = Outbox(client, settings.notices.digests)
        for name in (read_name(settings, batch, label) for batch in batches):
            data = read_record(storage, name)
            if data is None:
                missing.append(name)
                continue
            outbox.enqueue(name, describe_manifest(parse_record(name, data)))
            owed.append(name)
    for name in missing:
        click.echo(f"{name} is not stored: {tell_whereabouts(settings, name)}", err=True)
    click.echo(
        msgspec.json.encode({"queued": owed, "not_stored": missing})
        if as_json
        else f"{len(owed)} of {len(owed) + len(missing)} queued"
    )
    if missing:
        ctx.exit(1)


@command("send")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of words.")
def send_notices(*, as_json: bool) -> None:
    """Send what is due now, and end: what the web process does all the time, and workers where there is none."""
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
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of lines.")
@click.pass_context
def try_targets(ctx: click.Context, *, as_json: bool) -> None:
    """Send a notice of no batch to every target, once, and say what each answered.

    Exit code 1 when one did not take it.
    """
    settings = _load_with_targets()
    trials = [_try(settings.notices, target) for target in settings.notices.targets]
    if as_json:
        click.echo(msgspec.json.encode(trials))
    else:
        for trial in trials:
            click.echo(
                f"{'ok   ' if trial.ok else 'WRONG'} {trial.host} ({trial.target}): {printable(trial.answer)}"
            )
    if not all(trial.ok for trial in trials):
        ctx.exit(1)


def _try(settings: NoticeSettings, target: Target) -> Trial:
    now_ms = int(time.time() * 1000)
    notice = Claimed(f"{target.digest}/msg_test{now_ms}", "", "receiver.test", "", {}, now_ms, 0)
    try:
        heard = send(settings, target, notice)
    except NoticeError as error:
        return Trial(target.host, target.digest, ok=False, answer=str(error))
    return Trial(
        target.host,
        target.digest,
        ok=True,
        answer=f"{heard.status} in {heard.took_s * 1000:.0f} ms",
    )
