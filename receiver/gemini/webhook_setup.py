"""A project's webhooks at Gemini, and what they should be like by our settings."""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace

from msgspec import structs

from receiver.errors import ReceiverError
from receiver.gemini.transport import Transport
from receiver.gemini.webhook_diagnosis import Wanted, choose_ours, find_problems
from receiver.gemini.webhook_reports import Evidence, ServedProject, WebhookFault
from receiver.gemini.webhooks import Webhooks
from receiver.settings.projects import SECRET, Project
from receiver.settings.settings import Settings
from receiver.settings.web_urls import complete_url

log = logging.getLogger(__name__)


@contextmanager
def open_webhooks(settings: Settings, project: Project) -> Iterator[Webhooks]:
    """Ask Gemini with this project's key, and no other."""
    with Transport(settings.base_url, project.api_key, settings.api_version) as transport:
        yield Webhooks(transport)


def wanted_of(settings: Settings, project: Project, stated: str | None = None) -> Wanted:
    """What the project's webhook should be like; `stated` is an address that wins over PUBLIC_URL."""
    url = stated or settings.public_url
    option = f" --project {project.label}" if len(settings.projects) > 1 else ""
    whole = complete_url(url, project.path) if url else None
    return Wanted(project.path, whole, project.secrets, project.variable(SECRET), option)


def look_at_webhooks(
    settings: Settings, project: Project, evidence: Evidence, known: Collection[WebhookFault] = ()
) -> ServedProject:
    """Ask Gemini for a project's webhooks, and log what is wrong with them. For the process that serves the endpoint.

    Faults that are `known` were logged a short while ago, and are not logged again.

    It raises nothing: it keeps nobody from working. A project without secrets need not have a webhook: dynamic ones do
    without. Where deliveries are accepted, their secret is right, whatever Gemini shows of it.
    """
    wanted = replace(wanted_of(settings, project), is_proven=evidence.shows_that_the_secret_fits)
    served = ServedProject(project=project.name, secrets=len(project.secrets))
    try:
        with open_webhooks(settings, project) as webhooks:
            registered = list(webhooks.list())
    except ReceiverError as error:
        is_expected = project.secrets or settings.public_url  # else a key may be for batches alone
        level = logging.WARNING if is_expected else logging.INFO
        log.log(level, "webhook.unchecked", extra={"project": project.label, "cause": str(error)})
        return structs.replace(served, why_unknown=str(error))
    problems = find_problems(registered, wanted)
    wrong = [
        one for one in problems if not one.is_note and (one.kind != "missing" or project.secrets)
    ]
    faults = [WebhookFault(one.kind, one.webhook, one.detail, one.advice) for one in wrong]
    for fault in faults:
        if fault in known:
            continue
        extra = {
            "project": project.label,
            "webhook": fault.webhook,
            "cause": fault.detail,
            "hint": fault.advice,
        }
        log.warning(f"webhook.{fault.kind}", extra=extra)  # noqa: G004 - the kinds are few, and each is an event
    return structs.replace(
        served,
        is_registered=bool(choose_ours(registered, wanted)),
        faults=faults,
    )
