"""Whether the running web processes have the secrets of a project's webhook, by their own word."""

from collections.abc import Iterator

from receiver.errors import InboxUnavailableError
from receiver.gemini.webhook_diagnosis import WebhookProblem
from receiver.gemini.webhook_reports import ServedProject, WebProcess
from receiver.inbox.redis import connect
from receiver.recovery.web_presence import read_web_processes
from receiver.settings.projects import SECRET, Project
from receiver.settings.settings import Settings


def find_unready_processes(
    settings: Settings, project: Project, webhook_id: str
) -> list[WebhookProblem]:
    """Web processes that refuse this webhook's deliveries; none where Redis can't be asked."""
    try:
        with connect(settings.redis_url) as client:
            processes = read_web_processes(client)
    except InboxUnavailableError:
        return []
    return [
        WebhookProblem("secret", webhook_id, detail, advice)
        for process in processes
        if (served := process.serves(project.name)) is not None
        for detail, advice in _judge(process, served, project)
    ]


def _judge(
    process: WebProcess, served: ServedProject, project: Project
) -> Iterator[tuple[str, str]]:
    """What the process lacks, and what to do."""
    variable = project.variable(SECRET)
    which = f"the running web process on {process.host} (process {process.pid})"
    if not served.secrets:
        restart = "restart it, so that it reads the secret"
        advice = restart if project.secrets else f"set {variable} to the secret, and {restart}"
        yield f"{which} has no {variable}, and refuses all deliveries", advice
        return
    for fault in served.faults or []:
        if fault.kind == "secret":
            advice = f"restart it if {variable} has changed since it started; else {fault.advice}"
            yield f"{which} reports: {fault.detail}", advice
