"""The next steps of an installation until batches arrive and are stored. Pure.

A step is named only if it is known to be missing; everything else is reported as unknown.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from receiver.gemini.webhook_reports import ServedProject, WebProcess
from receiver.outputs.wording import count_of
from receiver.settings.projects import API_KEY, DEFAULT, SECRET, variable_of

COMMAND = "gemini-batch-receiver"


def find_process_steps(
    web: Sequence[WebProcess], workers: int, due: int, due_submissions: int = 0
) -> list[str]:
    """Which processes are to be started; what is `due` waits for a worker."""
    steps = []
    if not web:
        steps.append(f"no web process is running: start `{COMMAND} serve`")
    if not workers:
        waiting = _describe_due(due, due_submissions)
        steps.append(f"{waiting}no worker is running: start `{COMMAND} worker`")
    return steps


def _describe_due(batches: int, submissions: int) -> str:
    counts = [
        *([count_of(batches, "batch", "batches")] if batches else []),
        *([count_of(submissions, "submission", "submissions")] if submissions else []),
    ]
    verb = "is" if batches + submissions == 1 else "are"
    return f"{' and '.join(counts)} {verb} due and " if counts else ""


def find_webhook_steps(
    projects: Iterable[str], web: Sequence[WebProcess], dynamic: Collection[str]
) -> list[str]:
    """What the projects' webhooks lack, as reported by the web processes that serve them.

    `dynamic` are the projects that get deliveries of dynamic webhooks: they need nothing
    registered.
    """
    return [step for project in projects for step in _find_project_steps(project, web, dynamic)]


def _find_project_steps(
    project: str, web: Sequence[WebProcess], dynamic: Collection[str]
) -> Iterator[str]:
    serving = [
        (process, served) for process in web if (served := process.serves(project)) is not None
    ]
    if web and not serving:
        yield (
            f"no web process serves the project {project or DEFAULT}: set"
            f" {variable_of(API_KEY, project)} there too, and restart it"
        )

    reported = Counter(
        step
        for process, served in serving
        if not _does_without(process, served)
        for step in set(_find_reported_steps(process, served, dynamic))
    )
    for step, count in reported.items():
        is_by_all = count == len(serving)
        yield step if is_by_all else f"{step} (reported by {count} of {len(serving)} web processes)"


def _find_reported_steps(
    process: WebProcess, served: ServedProject, dynamic: Collection[str]
) -> Iterator[str]:
    label, secret = served.project or DEFAULT, variable_of(SECRET, served.project)
    for fault in served.faults or []:
        yield f"the webhook of {label}: {fault.detail}; {fault.advice}"
    if served.secrets:
        return

    if served.is_registered:
        yield (
            f"the webhook of {label} is registered, but the web process has no {secret} and"
            f" refuses its deliveries: set it to the secret that `{COMMAND} webhooks create`"
            " gave, and restart the web process"
        )
    elif served.project not in dynamic:
        is_missing = served.is_registered is False
        problem = "no webhook is registered for" if is_missing else "no secret is set for"
        url = process.url or "https://YOUR-HOST"
        option = f" --project {served.project}" if served.project else ""
        yield (
            f"{problem} the project {label}: `{COMMAND} webhooks create --url {url}{option}`"
            f" registers one; then set {secret} to the secret that it gives (`--env-file .env`"
            " writes it there), and restart the web process"
        )


def _does_without(process: WebProcess, served: ServedProject) -> bool:
    """Whether it can get no webhooks, and has nothing set that says that it should."""
    has_address = process.url is not None or any(one.secrets for one in process.projects)
    return served.is_registered is False and not served.faults and not has_address


def find_projects_without_webhook(
    projects: Iterable[str], web: Sequence[WebProcess], dynamic: Collection[str]
) -> list[str]:
    """Notes on projects that do without webhooks, which is no problem: reconcile runs do the work.

    That is so where no web process has a PUBLIC_URL or any secret.
    """
    found = []
    for project in projects:
        serving = [(one, served) for one in web if (served := one.serves(project)) is not None]
        does_without = serving and all(_does_without(*both) for both in serving)
        if does_without and project not in dynamic:
            option = f" --project {project}" if project else ""
            create = f"`{COMMAND} webhooks create --url https://YOUR-HOST{option}`"
            found.append(
                f"no webhook is registered for the project {project or DEFAULT}: its batches are"
                f" found by reconcile runs; {create} registers one, to have them at once"
            )
    return found


def find_unknown_webhooks(projects: Iterable[str], web: Sequence[WebProcess]) -> list[str]:
    """The projects whose webhook may or may not be right, with the reason."""
    found = []
    for project in projects:
        serving = [served for process in web if (served := process.serves(project)) is not None]
        reasons = (served.why_unknown for served in serving if served.is_registered is None)
        reason = next(reasons, None) if serving else "only a web process checks it"
        if reason is not None:
            found.append(
                f"the state of the webhook of {project or DEFAULT}: {reason} (`{COMMAND} webhooks"
                f" doctor` checks it now, `{COMMAND} webhooks create` registers one)"
            )
    return found
