"""Whether a project's batches are reported by webhooks, or only by reconcile runs."""

import redis

from receiver.inbox.delivery_log import fetch_deliveries
from receiver.inbox.redis import translate_redis_errors
from receiver.recovery.web_presence import read_web_processes
from receiver.settings.projects import Project
from receiver.settings.settings import Settings

MAX_CHECKED = 200  # deliveries that show whether webhooks are in use


@translate_redis_errors()
def expects_webhooks(client: "redis.Redis", settings: Settings, project: Project) -> bool:
    """False only where it is known that there are none. Raises InboxUnavailableError.

    That takes a web process that has looked: this one may lack the settings of the web process.
    """
    if project.secrets or settings.public_url:
        return True
    reports = [
        (process, served)
        for process in read_web_processes(client)
        if (served := process.serves(project.name)) is not None
    ]
    is_known = bool(reports) and all(served.is_registered is False for _, served in reports)
    if not is_known or any(process.url or served.secrets for process, served in reports):
        return True
    deliveries = fetch_deliveries(client, MAX_CHECKED, project.name)
    return any(one.verdict in ("accepted", "known") for one in deliveries)
