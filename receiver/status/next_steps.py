"""What is still to be done until batches arrive and are stored: the next steps of an installation. Pure.

A step is said only where somebody knows that it is missing; the rest is said to be unknown.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from receiver.gemini.webhook_reports import ServedProject, WebProcess
from receiver.settings.projects import API_KEY, DEFAULT, SECRET, variable_of

COMMAND = "gemini-batch-receiver"


def find_process_steps(web: Sequence[WebProcess], workers: int, due: int) -> list[str]:
    """The processes that do not run."""
    steps = []
    if not web:
        steps.append(f"no web process is running: start `{COMMAND} serve`")
    if not workers:
        waiting = f"{due:,} batch{' is' if due == 1 else 'es are'} due and " if due else ""
        steps.append(f"{waiting}no worker is running: start `{COMMAND} worker`")
    return steps


def find_webhook_steps(
    projects: Iterable[str], web: Sequence[WebProcess], dynamic: Collection[str]
) -> list[str]:
    """What the projects' webhooks lack, as the web processes that serve them say.

    `dynamic` are the projects to which deliveries of dynamic webhooks come, which need nothing registered.
    """
    steps = []
    for project in projects:
        serving = [
            (process, served) for process in web if (served := process.serves(project)) is not None
        ]
        if web and not serving:
            key = variable_of(API_KEY, project)
            steps.append(
                f"no web process serves the project {project or DEFAULT}: set {key} there too, and restart it"
            )
        said = Counter(
            step for process, served in serving for step in set(_steps_of(process, served, dynamic))
        )
        for step, count in said.items():
            some = (
                f" (so say {count} of {len(serving)} web processes)" if count < len(serving) else ""
            )
            steps.append(f"{step}{some}")
    return steps


def _steps_of(
    process: WebProcess, served: ServedProject, dynamic: Collection[str]
) -> Iterator[str]:
    project, secret = served.project, variable_of(SECRET, served.project)
    for fault in served.faults or []:
        yield f"the webhook of {project or DEFAULT}: {fault.detail}; {fault.advice}"
    if served.secrets:
        return
    if served.is_registered:
        yield (
            f"the webhook of {project or DEFAULT} is registered, but the web process has no {secret} and refuses its"
            f" deliveries: set it to the secret that `{COMMAND} webhooks create` gave, and restart the web process"
        )
    elif project not in dynamic:
        known = (
            "no webhook is registered for"
            if served.is_registered is False
            else "no secret is set for"
        )
        url = process.url or "https://YOUR-HOST"
        option = f" --project {project}" if project else ""
        yield (
            f"{known} the project {project or DEFAULT}: `{COMMAND} webhooks create --url {url}{option}` registers one;"
            f" then set {secret} to the secret that it gives, and restart the web process"
        )


def find_unknown_webhooks(projects: Iterable[str], web: Sequence[WebProcess]) -> list[str]:
    """Of which projects nobody knows whether the webhook is as it should be."""
    found = []
    for project in projects:
        serving = [served for process in web if (served := process.serves(project)) is not None]
        why = next((served.why_unknown for served in serving if served.is_registered is None), None)
        if not serving:
            why = "only a web process looks at it"
        if why is not None:
            look = f"`{COMMAND} webhooks doctor` looks, `{COMMAND} webhooks create` registers one"
            found.append(f"how the webhook of {project or DEFAULT} is: {why} ({look})")
    return found
