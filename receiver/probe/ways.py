"""Which ways deliveries of a probe can come, and what to do about those that they can't."""

from dataclasses import dataclass

import redis

from receiver.errors import GeminiError, InboxUnavailableError
from receiver.gemini.registered_webhooks import ENABLED
from receiver.gemini.webhook_diagnosis import choose_ours
from receiver.gemini.webhook_setup import open_webhooks, wanted_webhook
from receiver.recovery.web_presence import read_web_processes
from receiver.settings.projects import Project
from receiver.settings.settings import Settings
from receiver.settings.web_urls import LOOPBACK, complete_url, split_url

NO_WEB = (
    "no web process that serves this project reports to this Redis: start `gemini-batch-receiver"
    " serve`, and probe again"
)
NO_URL = "PUBLIC_URL is not set: set it to the https address of the web process, and probe again"
NOT_PUBLIC = "PUBLIC_URL is not an https address, which Gemini needs: set one, and probe again"
NO_WEBHOOK = (
    "no webhook is registered for this project: `gemini-batch-receiver webhooks create --url"
    " https://YOUR-HOST` registers one"
)
SWITCHED_OFF = "the registered webhook is switched off: `gemini-batch-receiver webhooks doctor`"
UNPROVEN = (
    "the web process has no secret of the registered webhook: set it, restart, and probe again"
)
NO_ANSWER = "Gemini did not list the webhooks"


@dataclass(frozen=True)
class Ways:
    """What can be tried. A reason is empty where it can."""

    webhook_id: str = ""  # of the registered one
    no_static: str = ""
    dynamic_url: str = ""
    no_dynamic: str = ""


def find_ways(settings: Settings, project: Project, client: "redis.Redis") -> Ways:
    """Ask Redis for web processes and Gemini for webhooks. Raises nothing."""
    try:
        processes = read_web_processes(client)
    except InboxUnavailableError:
        why = "Redis does not answer, where the web process records deliveries: start it"
        return Ways(no_static=why, no_dynamic=why)
    served = [one for process in processes if (one := process.serves(project.name)) is not None]
    if not served:
        return Ways(no_static=NO_WEB, no_dynamic=NO_WEB)
    webhook_id, no_static = _find_static(settings, project)
    if not no_static and not any(one.secrets for one in served):
        no_static = UNPROVEN
    url, no_dynamic = _find_dynamic(settings, project)
    return Ways(webhook_id, no_static, url, no_dynamic)


def _find_static(settings: Settings, project: Project) -> tuple[str, str]:
    try:
        with open_webhooks(settings, project) as webhooks:
            ours = choose_ours(list(webhooks.list()), wanted_webhook(settings, project))
    except GeminiError:
        return "", NO_ANSWER
    if not ours:
        return "", NO_WEBHOOK
    enabled = [one for one in ours if one.state == ENABLED]
    return (enabled[0].id, "") if enabled else ("", SWITCHED_OFF)


def _find_dynamic(settings: Settings, project: Project) -> tuple[str, str]:
    """Over http only where Gemini itself is a stand-in on this machine."""
    if not settings.public_url:
        return "", NO_URL
    ours, gemini = split_url(settings.public_url), split_url(settings.base_url)
    is_stand_in = gemini is not None and gemini.hostname in LOOPBACK
    if ours is None or (ours.scheme != "https" and not is_stand_in):
        return "", NOT_PUBLIC
    return complete_url(settings.public_url, project.path), ""
