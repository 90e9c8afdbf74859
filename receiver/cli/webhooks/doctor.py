"""`webhooks doctor`: is what Gemini has registered what the project needs?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import click
import msgspec

from receiver.cli.command import command, load_settings
from receiver.cli.printable import printable
from receiver.cli.projects import choose_projects, end_with, go_through, project_option
from receiver.cli.webhooks.options import WebUrl, json_option
from receiver.errors import GeminiError
from receiver.gemini.reachability import find_obstacle
from receiver.gemini.registered_webhooks import RegisteredWebhook
from receiver.gemini.webhook_diagnosis import (
    Wanted,
    WebhookProblem,
    choose_ours,
    find_problems,
    judge,
)
from receiver.gemini.webhook_setup import open_webhooks, wanted_of
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
class _Patient:
    """A project's webhooks as they are, and as they should be."""

    project: Project
    client: Webhooks
    wanted: Wanted
    fix: bool
    found: list[WebhookCheck] = field(default_factory=list)

    def note(self, problem: WebhookProblem, level: str) -> None:
        about = (self.project.label, problem.kind, problem.webhook, level)
        self.found.append(WebhookCheck(*about, problem.detail, problem.advice))


@command("doctor")
@click.option(
    "--url", type=WebUrl(), help="Where the web process is; an origin gets the project's path."
)
@click.option(
    "--fix",
    is_flag=True,
    help="Switch on, add events, put the address right. Secrets stay as they are.",
)
@project_option
@json_option
@click.pass_context
def doctor_webhooks(
    ctx: click.Context, *, url: str | None, fix: bool, label: str | None, as_json: bool
) -> None:
    """Compare every project's webhooks with what they should be, and try their addresses.

    Where the web process is says --url, or PUBLIC_URL; with neither, a webhook is known by its path or its secret.
    Exit code 1 when something is wrong and was not fixed.
    """
    settings = load_settings()
    projects = choose_projects(settings, label)
    if url and urlsplit(url).path and len(projects) > 1:
        raise click.UsageError(
            "--url with a path is one project's webhook endpoint: say which by --project, or leave the path out"
        )
    results, failures = go_through(
        projects, lambda project: _examine(settings, project, url, fix=fix)
    )
    found = [finding for findings in results for finding in findings]
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        for finding in found:
            _print(finding)
    end_with(failures)
    if any(finding.level == "wrong" for finding in found):
        ctx.exit(1)


def _print(finding: WebhookCheck) -> None:
    about = finding.project if finding.webhook is None else f"{finding.project} {finding.webhook}"
    level = {"wrong": "WRONG"}.get(finding.level, finding.level)
    click.echo(f"{level:<5} {printable(f'{about}: {finding.detail}')}")
    if finding.advice:
        click.echo(f"      {printable(finding.advice)}")


def _examine(
    settings: Settings, project: Project, url: str | None, *, fix: bool
) -> Sequence[WebhookCheck]:
    wanted = wanted_of(settings, project, url)
    with open_webhooks(settings, project) as client:
        patient = _Patient(project, client, wanted, fix)
        registered = list(client.list())
        ours = choose_ours(registered, wanted)
        for problem in find_problems(registered, wanted):
            if problem.webhook not in {one.id for one in ours} or problem.is_note:
                patient.note(problem, "note" if problem.is_note else "wrong")
        for webhook in ours:
            _treat(patient, webhook)
    return patient.found


def _treat(patient: _Patient, webhook: RegisteredWebhook) -> None:
    """Judge one webhook of ours, mend what can be mended, and say what is left."""
    judged = judge(webhook, patient.wanted)
    before = [problem for problem in judged if not problem.is_note]
    obstacle = _find_obstacle(webhook, patient)
    if obstacle is not None:
        patient.note(obstacle, "wrong")
    changes = {name: value for problem in before for name, value in problem.changes.items()}
    if obstacle is not None:
        changes.pop("state", None)  # it would fail again, and Gemini would switch it off again
    left, failure = _mend(patient, webhook, changes if patient.fix else {})
    for problem in before:
        is_left = problem.kind in left
        advice = problem.advice if is_left else problem.afterwards
        advice += f"; --fix failed: {failure}" if failure else ""
        patient.note(replace(problem, advice=advice), "wrong" if is_left else "fixed")
    if not before and obstacle is None:
        detail = f"{webhook.uri} is {webhook.state}, is told of every event, and answers"
        patient.found.append(
            WebhookCheck(patient.project.label, "none", webhook.id, "ok", detail, "")
        )
    for problem in judged:
        if problem.is_note:
            patient.note(problem, "note")


def _mend(
    patient: _Patient, webhook: RegisteredWebhook, changes: Mapping[str, object]
) -> tuple[set[str], GeminiError | None]:
    """Make these changes. Gives the kinds of what is wrong then, by Gemini's own answer."""
    failure = None
    try:
        webhook = patient.client.update(webhook.id, changes) if changes else webhook
    except GeminiError as error:
        failure = error
    return {problem.kind for problem in judge(webhook, patient.wanted)}, failure


def _find_obstacle(webhook: RegisteredWebhook, patient: _Patient) -> WebhookProblem | None:
    """Knock where the webhook sends to, or once it is mended will."""
    is_moved = patient.fix and patient.wanted.url is not None
    url = patient.wanted.url if is_moved and patient.wanted.url else webhook.uri
    words = find_obstacle(url, patient.wanted.path)
    if words is None:
        return None
    advice = (
        "see that the web process runs, and that what ends TLS before it forwards this path to it"
    )
    return WebhookProblem(
        "unreachable", webhook.id, f"{url} is not reachable from here: {words}", advice
    )
