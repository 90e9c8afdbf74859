"""`webhooks doctor`: does Gemini have the webhooks registered that each project needs?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import click
import msgspec

from receiver.cli.command import command, json_option, load_settings
from receiver.cli.output import printable
from receiver.cli.projects import choose_projects, end_with, go_through, project_option
from receiver.cli.webhooks.options import WebUrl
from receiver.cli.webhooks.serving_processes import find_unready_processes
from receiver.errors import GeminiError
from receiver.gemini.reachability import find_obstacle
from receiver.gemini.registered_webhooks import RegisteredWebhook
from receiver.gemini.webhook_diagnosis import (
    WantedWebhook,
    WebhookProblem,
    choose_ours,
    find_problems,
    judge_webhook,
)
from receiver.gemini.webhook_setup import open_webhooks, wanted_webhook
from receiver.gemini.webhooks import Webhooks
from receiver.settings.projects import Project
from receiver.settings.settings import Settings


@dataclass(frozen=True)
class WebhookCheck:
    """One thing that was found, and what became of it."""

    project: str
    problem: str  # its kind; "none" where all is well
    webhook: str | None  # its id
    level: str  # ok, note, wrong or fixed
    detail: str
    advice: str


@dataclass(frozen=True)
class _Examination:
    """What is found about one project's webhooks."""

    project: Project
    client: Webhooks
    wanted: WantedWebhook
    fix: bool
    found: list[WebhookCheck] = field(default_factory=list)

    def note(self, problem: WebhookProblem, level: str) -> None:
        about = (self.project.label, problem.kind, problem.webhook, level)
        self.found.append(WebhookCheck(*about, problem.detail, problem.advice))


@command("doctor", "", "--url https://YOUR-HOST --fix")
@click.option(
    "--url", type=WebUrl(), help="Where the web process is. Without a path, it gets the project's."
)
@click.option(
    "--fix",
    is_flag=True,
    help="Switch on, add events, correct the address. Secrets stay as they are.",
)
@project_option
@json_option("a JSON list")
@click.pass_context
def doctor_webhooks(
    ctx: click.Context, *, url: str | None, fix: bool, label: str | None, as_json: bool
) -> None:
    """Compare registered webhooks with what is needed.

    Also tries their addresses, and asks running web processes, through Redis, whether they have the
    secrets. --url or PUBLIC_URL says where the web process is; without them, a webhook is
    recognised by its path or its secret. Exit code 1 when something is wrong and was not fixed.
    """
    settings = load_settings()
    projects = choose_projects(settings, label)
    if url and urlsplit(url).path and len(projects) > 1:
        raise click.UsageError(
            "--url with a path is the webhook endpoint of one project: name it with --project, or"
            " leave the path out"
        )
    results, failures = go_through(
        projects, lambda project: _examine(settings, project, url, fix=fix)
    )
    found = [check for checks in results for check in checks]
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        for check in found:
            _print(check)
    end_with(failures)
    if any(check.level == "wrong" for check in found):
        ctx.exit(1)


def _print(check: WebhookCheck) -> None:
    about = check.project if check.webhook is None else f"{check.project} {check.webhook}"
    level = {"wrong": "WRONG"}.get(check.level, check.level)
    click.echo(f"{level:<5} {printable(f'{about}: {check.detail}')}")
    if check.advice:
        click.echo(f"      {printable(check.advice)}")


def _examine(
    settings: Settings, project: Project, url: str | None, *, fix: bool
) -> Sequence[WebhookCheck]:
    wanted = wanted_webhook(settings, project, url)
    with open_webhooks(settings, project) as client:
        examination = _Examination(project, client, wanted, fix)
        registered = list(client.list())
        ours = choose_ours(registered, wanted)
        for problem in find_problems(registered, wanted):
            if problem.webhook not in {one.id for one in ours} or problem.is_note:
                examination.note(problem, "note" if problem.is_note else "wrong")
        for webhook in ours:
            _examine_webhook(examination, webhook)
            for problem in find_unready_processes(settings, project, webhook.id):
                examination.note(problem, "wrong")
    return examination.found


def _examine_webhook(examination: _Examination, webhook: RegisteredWebhook) -> None:
    """Judge one webhook of ours, repair it with --fix, and note what is left."""
    judged = judge_webhook(webhook, examination.wanted)
    before = [problem for problem in judged if not problem.is_note]
    obstacle = _find_obstacle(webhook, examination)
    if obstacle is not None:
        examination.note(obstacle, "wrong")
    changes = {name: value for problem in before for name, value in problem.changes.items()}
    if obstacle is not None:
        # Switched on, it would fail again, and Gemini would switch it off again.
        changes.pop("state", None)
    left, failure = _repair(examination, webhook, changes if examination.fix else {})
    for problem in before:
        is_left = problem.kind in left
        advice = problem.advice if is_left else problem.afterwards
        advice += f"; --fix failed: {failure}" if failure else ""
        examination.note(replace(problem, advice=advice), "wrong" if is_left else "fixed")
    if not before and obstacle is None:
        detail = f"{webhook.uri} is {webhook.state}, gets every event, and answers"
        examination.found.append(
            WebhookCheck(examination.project.label, "none", webhook.id, "ok", detail, "")
        )
    for problem in judged:
        if problem.is_note:
            examination.note(problem, "note")


def _repair(
    examination: _Examination, webhook: RegisteredWebhook, changes: Mapping[str, object]
) -> tuple[set[str], GeminiError | None]:
    """Make these changes. Gives the kinds of problems that are left, by Gemini's answer."""
    failure = None
    try:
        webhook = examination.client.update(webhook.id, changes) if changes else webhook
    except GeminiError as error:
        failure = error
    return {problem.kind for problem in judge_webhook(webhook, examination.wanted)}, failure


def _find_obstacle(webhook: RegisteredWebhook, examination: _Examination) -> WebhookProblem | None:
    """Try the address that the webhook sends to, or will send to once it is repaired."""
    is_moved = examination.fix and examination.wanted.url is not None
    url = examination.wanted.url if is_moved and examination.wanted.url else webhook.uri
    words = find_obstacle(url, examination.wanted.path)
    if words is None:
        return None
    advice = "see that the web process runs, and that the proxy in front of it forwards this path"
    return WebhookProblem(
        "unreachable", webhook.id, f"{url} is not reachable from here: {words}", advice
    )
