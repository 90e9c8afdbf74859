"""`webhooks list`, `show`, `update`, `ping` and `delete`: registered webhooks, by hand."""

from typing import Literal

import click
import msgspec

from receiver.cli.command import command, json_option, load_settings, yes_option
from receiver.cli.output import print_table
from receiver.cli.projects import (
    choose_projects,
    end_with,
    go_through,
    project_option,
    read_project,
)
from receiver.cli.webhooks.options import (
    Events,
    WebUrl,
    encode_webhook,
    plain_id,
    print_webhook,
)
from receiver.gemini.registered_webhooks import RegisteredWebhook
from receiver.gemini.webhook_setup import open_webhooks
from receiver.outputs.wording import count_of
from receiver.settings.projects import Project
from receiver.settings.settings import Settings
from receiver.settings.web_urls import complete_url


@command("list", "", "--project acme")
@project_option
@json_option("a JSON list")
def list_webhooks(*, label: str | None, as_json: bool) -> None:
    """List the webhooks of every project.

    Of each secret, Gemini shows only the end.
    """
    settings = load_settings()

    def list_project(project: Project) -> list[tuple[Project, RegisteredWebhook]]:
        with open_webhooks(settings, project) as client:
            return [(project, webhook) for webhook in client.list()]

    results, failures = go_through(choose_projects(settings, label), list_project)
    found = [row for rows in results for row in rows]
    if as_json:
        click.echo(msgspec.json.encode([encode_webhook(*row) for row in found]))
    else:
        _print_table(found)
    end_with(failures)


def _print_table(found: list[tuple[Project, RegisteredWebhook]]) -> None:
    print_table(
        ("name", "id", "project", "state", "url", "events", "secrets"),
        [
            (
                one.name or "",
                one.id,
                project.label,
                one.state,
                one.uri,
                ",".join(one.events),
                " ".join(secret.truncated for secret in one.secrets),
            )
            for project, one in found
        ],
    )
    click.echo(count_of(len(found), "webhook", "webhooks"), err=True)


@command("show", "ID")
@click.argument("webhook_id", metavar="ID")
@project_option
@json_option("a JSON object")
def show_webhook(*, webhook_id: str, label: str | None, as_json: bool) -> None:
    """Show one webhook.

    Exit code 1 when the project has none with this id.
    """
    settings = load_settings()
    project = read_project(settings, label)
    with open_webhooks(settings, project) as client:
        print_webhook(project, client.get(plain_id(webhook_id)), as_json=as_json)


@command("update", "ID --url https://YOUR-HOST", "ID --state enabled")
@click.argument("webhook_id", metavar="ID")
@click.option("--url", type=WebUrl(), help="Where it sends. Without a path, it gets the project's.")
@click.option("--name", help="What it is called at Gemini.")
@click.option("--events", type=Events(), help="Events that it sends, separated by commas.")
@click.option("--state", type=click.Choice(["enabled", "disabled"]), help="Switch it on or off.")
@project_option
@json_option("a JSON object")
def update_webhook(  # noqa: PLR0913 - one parameter per option
    *,
    webhook_id: str,
    url: str | None,
    name: str | None,
    events: tuple[str, ...] | None,
    state: Literal["enabled", "disabled"] | None,
    label: str | None,
    as_json: bool,
) -> None:
    """Change the address, name, events or state of a webhook.

    What is not given stays as it is, and so do its secrets.
    """
    settings = load_settings()
    project = read_project(settings, label)
    stated = {
        "uri": url and complete_url(url, project.path),
        "name": name,
        "subscribed_events": events,
        "state": state,
    }
    changes = {key: value for key, value in stated.items() if value is not None}
    if not changes:
        raise click.UsageError("give what to change: --url, --name, --events or --state")
    with open_webhooks(settings, project) as client:
        print_webhook(project, client.update(plain_id(webhook_id), changes), as_json=as_json)


@command("ping", "ID")
@click.argument("webhook_id", metavar="ID")
@project_option
@json_option("a JSON object")
def ping_webhook(*, webhook_id: str, label: str | None, as_json: bool) -> None:
    """Have Gemini send a test delivery.

    It is about no batch, and the web process ignores it.
    """
    project = _do(load_settings(), webhook_id, label, "ping")
    seen = "`gemini-batch-receiver inbox deliveries` shows it once it has arrived"
    _conclude(
        {"project": project.label, "pinged": plain_id(webhook_id)},
        f"Gemini sends it: {seen}",
        as_json=as_json,
    )


@command("delete", "ID --yes")
@click.argument("webhook_id", metavar="ID")
@project_option
@yes_option
@json_option("a JSON object")
def delete_webhook(*, webhook_id: str, label: str | None, yes: bool, as_json: bool) -> None:
    """Delete a webhook at Gemini.

    Nothing is sent to its address any more.
    """
    settings = load_settings()
    if not yes:
        raise click.UsageError(
            f"Gemini would send nothing more for webhook {webhook_id}: add --yes to do it"
        )
    project = _do(settings, webhook_id, label, "delete")
    said = f"deleted {plain_id(webhook_id)}; remove its secret from the settings"
    _conclude({"project": project.label, "deleted": plain_id(webhook_id)}, said, as_json=as_json)


def _do(
    settings: Settings, webhook_id: str, label: str | None, what: Literal["ping", "delete"]
) -> Project:
    project = read_project(settings, label)
    with open_webhooks(settings, project) as client:
        (client.ping if what == "ping" else client.delete)(plain_id(webhook_id))
    return project


def _conclude(document: dict[str, str], words: str, *, as_json: bool) -> None:
    click.echo(msgspec.json.encode(document) if as_json else words)
