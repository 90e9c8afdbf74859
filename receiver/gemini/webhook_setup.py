"""Compares a project's webhooks at Gemini with what our settings call for."""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace

from msgspec import structs

from receiver.errors import ReceiverError
from receiver.gemini.transport import Transport
from receiver.gemini.webhook_diagnosis import WantedWebhook, choose_ours, find_problems
from receiver.gemini.webhook_reports import Evidence, ServedProject, WebhookFault
from receiver.gemini.webhooks import Webhooks
from receiver.settings.projects import SECRET, Project
from receiver.settings.settings import Settings
from receiver.settings.web_urls import complete_url

log = logging.getLogger(__name__)


@contextmanager
def open_webhooks(settings: Settings, project: Project) -> Iterator[Webhooks]:
    """Open the Webhooks API with this project's key."""
    with Transport(settings.base_url, project.api_key, settings.api_version) as transport:
        yield Webhooks(transport)


def wanted_webhook(
    settings: Settings, project: Project, stated: str | None = None
) -> WantedWebhook:
    """What the project's webhook should be like. `stated` is a URL that overrides PUBLIC_URL."""
    url = stated or settings.public_url
    option = f" --project {project.label}" if len(settings.projects) > 1 else ""
    whole = complete_url(url, project.path) if url else None
    return WantedWebhook(project.path, whole, project.secrets, project.variable(SECRET), option)


def check_webhooks(
    settings: Settings, project: Project, evidence: Evidence, known: Collection[WebhookFault] = ()
) -> ServedProject:
    """Check a project's webhooks at Gemini, and log what is wrong. For the web process.

    Faults that are `known` have been logged lately, and are not logged again. It raises nothing.

    A project without secrets needs no registered webhook, since dynamic ones do without. While
    deliveries are accepted, the secret is right, whatever Gemini shows of it.
    """
    wanted = replace(wanted_webhook(settings, project), is_proven=evidence.proves_secret)
    served = ServedProject(project=project.name, secrets=len(project.secrets))

    try:
        with open_webhooks(settings, project) as webhooks:
            registered = list(webhooks.list())
    except ReceiverError as error:
        # Without both, the key may be meant for batches only.
        is_expected = project.secrets or settings.public_url
        level = logging.WARNING if is_expected else logging.INFO
        log.log(level, "webhook.unchecked", extra={"project": project.label, "cause": str(error)})
        return structs.replace(served, why_unknown=str(error))

    problems = [one for one in find_problems(registered, wanted) if not one.is_note]
    wrong = [one for one in problems if one.kind != "missing" or project.secrets]
    faults = [WebhookFault(one.kind, one.webhook, one.detail, one.advice) for one in wrong]
    for fault in faults:
        if fault not in known:
            _log_fault(project, fault)
    is_registered = bool(choose_ours(registered, wanted))
    return structs.replace(served, is_registered=is_registered, faults=faults)


def _log_fault(project: Project, fault: WebhookFault) -> None:
    extra = {
        "project": project.label,
        "webhook": fault.webhook,
        "cause": fault.detail,
        "hint": fault.advice,
    }
    log.warning(f"webhook.{fault.kind}", extra=extra)  # noqa: G004 - each kind is an event
