"""What the commands on webhooks share: types of options, and how a webhook is shown."""

import re
from dataclasses import asdict

import click
import msgspec

from receiver.cli.output import printable
from receiver.gemini.registered_webhooks import RegisteredWebhook
from receiver.settings.projects import Project
from receiver.settings.web_urls import parse_web_url


class WebUrl(click.ParamType[str]):
    """An address that Gemini could send to."""

    name = "url"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return parse_web_url(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Events(click.ParamType[tuple[str, ...]]):
    """Names of events, separated by commas."""

    name = "events"

    def convert(
        self, value: str | tuple[str, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):  # a default
            return value
        events = tuple(dict.fromkeys(value.split(",")))
        wrong = [event for event in events if not re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", event)]
        if wrong:
            expected = "expected names such as batch.succeeded,batch.failed"
            self.fail(f"{wrong[0]!r} is not an event: {expected}", param, ctx)
        return events


def encode_webhook(project: Project, webhook: RegisteredWebhook) -> dict[str, object]:
    """A webhook for programs; it holds no secret."""
    return {"project": project.label} | asdict(webhook)


def print_webhook(project: Project, webhook: RegisteredWebhook, *, as_json: bool) -> None:
    """Print all of a webhook."""
    if as_json:
        click.echo(msgspec.json.encode(encode_webhook(project, webhook)))
        return
    secrets = [
        f"{one.truncated} until {one.expires}" if one.expires else one.truncated
        for one in webhook.secrets
    ]
    rows = {
        "id": webhook.id,
        "project": project.label,
        "name": webhook.name or "-",
        "state": webhook.state,
        "url": webhook.uri,
        "events": ", ".join(webhook.events),
        "secrets": ", ".join(secrets) or "-",
    }
    for label, text in rows.items():
        click.echo(f"{label:<8}{printable(text)}")


def plain_id(webhook_id: str) -> str:
    """The id without `webhooks/`, as the API takes it."""
    return webhook_id.removeprefix("webhooks/")
