"""`webhooks list`, `show`, `update`, `ping`, `delete`: what is registered at Gemini, by hand."""

from typing import Literal

import click
import msgspec

from receiver.cli.command import command, load_settings
from receiver.cli.printable import printable
from receiver.cli.projects import (
    choose_projects,
    end_with,
    go_through,
    project_option,
    read_project,
)
from receiver.cli.webhooks.options import Events, WebUrl, bare, described, json_option, say
from receiver.gemini.registered_webhooks import RegisteredWebhook
from receiver.gemini.webhook_setup import open_webhooks
from receiver.settings.projects import Project
from receiver.settings.settings import Settings
from receiver.settings.web_urls import complete_url


@command("list")
@project_option
@json_option
def list_webhooks(*, label: str | None, as_json: bool) -> None:
    """List the webhooks of every project. Of secrets there are the ends alone: Gemini shows no more."""
    settings = load_settings()

    def look(project: Project) -> list[tuple[Project, RegisteredWebhook]]:
        with open_webhooks(settings, project) as client:
            return [(project, webhook) for webhook in client.list()]

    results, failures = go_through(choose_projects(settings, label), look)
    found = [row for rows in results for row in rows]
    if as_json:
        click.echo(msgspec.json.encode([described(*row) for row in found]))
    else:
        _print_table(found)
    end_with(failures)


def _print_table(found: list[tuple[Project, RegisteredWebhook]]) -> None:
    if found:
        click.echo(f"{'id':<36}  {'project':<8}  {'state':<33}  url, events and secrets")
    for project, one in found:
        secrets = " ".join(secret.truncated for secret in one.secrets)
        rest = printable(f"{one.uri}  {','.join(one.events)}  {secrets}")
        click.echo(
            f"{printable(one.id):<36}  {project.label:<8}  {printable(one.state):<33}  {rest}"
        )
    click.echo(f"{len(found)} webhooks", err=True)


@command("show")
@click.argument("webhook_id", metavar="ID")
@project_option
@json_option
def show_webhook(*, webhook_id: str, label: str | None, as_json: bool) -> None:
    """Show one webhook; exit code 1 when the project has none of this id."""
    settings = load_settings()
    project = read_project(settings, label)
    with open_webhooks(settings, project) as client:
        say(project, client.get(bare(webhook_id)), as_json=as_json)


@command("update")
@click.argument("webhook_id", metavar="ID")
@click.option("--url", type=WebUrl(), help="Where it sends; an origin gets the project's path.")
@click.option("--name", help="What it is called at Gemini.")
@click.option("--events", type=Events(), help="All that it is told of, with commas between.")
@click.option("--state", type=click.Choice(["enabled", "disabled"]), help="Switch it on or off.")
@project_option
@json_option
def update_webhook(  # noqa: PLR0913 - one parameter an option
    *,
    webhook_id: str,
    url: str | None,
    name: str | None,
    events: tuple[str, ...] | None,
    state: Literal["enabled", "disabled"] | None,
    label: str | None,
    as_json: bool,
) -> None:
    """Change what is named of a webhook, and nothing else; its secrets stay."""
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
        raise click.UsageError("say what to change: --url, --name, --events or --state")
    with open_webhooks(settings, project) as client:
        say(project, client.update(bare(webhook_id), changes), as_json=as_json)


@command("ping")
@click.argument("webhook_id", metavar="ID")
@project_option
@json_option
def ping_webhook(*, webhook_id: str, label: str | None, as_json: bool) -> None:
    """Have Gemini send a delivery of no batch, which the web process takes and ignores."""
    project = _do(load_settings(), webhook_id, label, "ping")
    seen = "`gemini-batch-receiver events list --deliveries` shows it once it has arrived"
    _conclude(
        {"project": project.label, "pinged": bare(webhook_id)},
        f"Gemini sends it: {seen}",
        as_json=as_json,
    )


@command("delete")
@click.argument("webhook_id", metavar="ID")
@project_option
@click.option("--yes", is_flag=True, help="Really do it.")
@json_option
def delete_webhook(*, webhook_id: str, label: str | None, yes: bool, as_json: bool) -> None:
    """Take a webhook out of Gemini's list; nothing is sent to its address any more."""
    settings = load_settings()
    if not yes:
        raise click.UsageError(
            f"Gemini would send nothing more for webhook {webhook_id}: add --yes to do it"
        )
    project = _do(settings, webhook_id, label, "delete")
    said = f"deleted {bare(webhook_id)}; its secret can leave the settings"
    _conclude({"project": project.label, "deleted": bare(webhook_id)}, said, as_json=as_json)


def _do(
    settings: Settings, webhook_id: str, label: str | None, what: Literal["ping", "delete"]
) -> Project:
    project = read_project(settings, label)
    with open_webhooks(settings, project) as client:
        (client.ping if what == "ping" else client.delete)(bare(webhook_id))
    return project


def _conclude(document: dict[str, str], words: str, *, as_json: bool) -> None:
    click.echo(msgspec.json.encode(document) if as_json else words)
