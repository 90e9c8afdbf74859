"""`inbox delivery`: what one delivery brought, and to take it in again."""

from dataclasses import asdict

import click
import msgspec
import redis

from receiver.cli.command import command, json_option, load_settings
from receiver.cli.inbox import NOTHING
from receiver.cli.output import printable, printable_lines, show_moment
from receiver.cli.projects import project_of, project_option
from receiver.inbox.delivery_contents import DeliveryContent, fetch_content
from receiver.inbox.delivery_log import MAX_LOGGED, Delivery, fetch_deliveries
from receiver.inbox.redis import connect
from receiver.recovery.manual_actions import accept_again


@command("delivery", "msg_2a1b", "msg_2a1b --again")
@click.argument("webhook_id", metavar="WEBHOOK-ID")
@click.option(
    "--again", is_flag=True, help="Take it in again, as if it came now; only a verified one."
)
@project_option
@json_option("a JSON object")
def show_delivery(webhook_id: str, *, again: bool, label: str | None, as_json: bool) -> None:
    """Show what one delivery brought, or take it in again.

    Of several with this id it is the last one. Headers and bodies are kept of the last verified
    deliveries alone, and without signatures and secrets. Exit code 1 when there is none of this id.
    """
    with connect(load_settings().redis_url) as client:
        delivery = _find(client, webhook_id, project_of(label))
        is_proven = delivery.verdict in ("accepted", "known", "ignored")
        content = fetch_content(client, delivery.name, delivery.time_ms) if is_proven else None
        if again:
            _take_in_again(client, delivery, content)
            return
    if as_json:
        headers, body = (content.headers, content.body) if content else (None, None)
        described = asdict(delivery) | {"headers": headers, "body": body}
        click.echo(msgspec.json.encode(described))
        return
    _print(delivery, content)


def _find(client: "redis.Redis", webhook_id: str, project: str | None) -> Delivery:
    found = fetch_deliveries(client, 2 * MAX_LOGGED, project)
    delivery = next((one for one in found if one.delivery_id == webhook_id), None)
    if delivery is None:
        hint = "`gemini-batch-receiver inbox deliveries` lists the last ones"
        raise click.ClickException(
            f"no delivery of the last has the id {printable(webhook_id)}: {hint}"
        )
    return delivery


def _take_in_again(
    client: "redis.Redis", delivery: Delivery, content: DeliveryContent | None
) -> None:
    if delivery.verdict not in ("accepted", "known"):
        raise click.ClickException(
            f"it was {delivery.verdict}, so it names no batch that is proven; no signature is kept"
            " that could be judged again"
        )
    if not accept_again(client, delivery, content):
        click.echo(f"{delivery.batch} is in the inbox already, and not ended")
        return
    click.echo(f"{delivery.batch} is queued")


def _print(delivery: Delivery, content: DeliveryContent | None) -> None:
    for label, value in asdict(delivery).items():
        text = show_moment(value) if label == "time_ms" else printable(str(value or NOTHING))
        click.echo(f"{label.removesuffix('_ms').replace('_', '-'):<11} {text}")
    if content is None:
        click.echo("headers and body are not kept", err=True)
        return
    click.echo()
    for name, value in content.headers.items():
        click.echo(printable(f"{name}: {value}"))
    click.echo()
    click.echo(printable_lines(content.body))
    if not content.is_whole:
        click.echo(f"only the beginning of {content.size_bytes:,} bytes is kept", err=True)
