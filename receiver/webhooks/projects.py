"""A project's webhooks at Gemini, and what they should be like by our settings."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from receiver.errors import ReceiverError
from receiver.gemini.transport import Transport
from receiver.gemini.webhooks import Webhooks
from receiver.looks import WebhookFault
from receiver.projects import SECRET, Project
from receiver.settings import Settings
from receiver.web_urls import complete_url
from receiver.webhooks.checks import Wanted, find_problems

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


def warn_of_webhooks(settings: Settings, project: Project) -> list[WebhookFault] | None:
    """Log what is wrong with a project's webhooks. Gives what that is; None where it can't be seen.

    It raises nothing: it keeps nobody from working.

    A project without secrets need not have one: dynamic webhooks do without.
    """
    about = {"project": project.label}
    try:
        with open_webhooks(settings, project) as webhooks:
            problems = find_problems(list(webhooks.list()), wanted_of(settings, project))
    except ReceiverError as error:
        is_expected = project.secrets or settings.public_url  # else a key may be for batches alone
        level = logging.WARNING if is_expected else logging.INFO
        log.log(level, "webhook.unchecked", extra=about | {"cause": str(error)})
        return None
    faults = [one for one in problems if not one.is_note and (one.kind != "missing" or project.secrets)]
    for fault in faults:
        extra = about | {"webhook": fault.webhook, "cause": fault.detail, "hint": fault.advice}
        log.warning(f"webhook.{fault.kind}", extra=extra)  # noqa: G004 - the kinds are few, and each is an event
    return [WebhookFault(one.kind, one.webhook, one.detail, one.advice) for one in faults]
