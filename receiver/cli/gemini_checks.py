"""What `doctor` checks of each project at Gemini: its key, models, secrets and webhooks."""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from itertools import islice

import msgspec

from receiver.errors import GeminiError, InboxUnavailableError
from receiver.gemini.batches import Gemini
from receiver.gemini.operations import Batch
from receiver.gemini.webhook_diagnosis import find_problems
from receiver.gemini.webhook_setup import open_webhooks, wanted_webhook
from receiver.inbox.redis import connect
from receiver.inbox.redis_health import MAX_OFFSET_S
from receiver.outputs.models import model_warnings
from receiver.outputs.wording import count_of
from receiver.settings.projects import API_KEY, Project
from receiver.settings.settings import Settings
from receiver.status.next_steps import find_webhook_steps
from receiver.status.overview_queries import take_overview

_CREATE = "`gemini-batch-receiver webhooks create --url https://YOUR-HOST`"
LATEST_BATCHES = 100  # one page of the list


class Check(msgspec.Struct, frozen=True):
    """One line of `doctor`, and one object of its JSON."""

    check: str  # what was checked
    ok: bool
    detail: str
    warning: bool = False  # it works, but a person should know something


def check_gemini(settings: Settings) -> Iterator[Check]:
    """The key of every project, and this machine's clock compared with Gemini's."""
    offsets = list[float]()
    for project in settings.projects.values():
        variable = project.variable(API_KEY)
        try:
            with Gemini(settings.base_url, project.api_key, settings.api_version) as gemini:
                offset_s = gemini.measure_clock_offset_s()
        except GeminiError as error:
            yield Check("gemini key", ok=False, detail=f"{variable}: {error}")
            continue
        yield Check("gemini key", ok=True, detail=f"{variable} is accepted")
        offsets += [] if offset_s is None else [offset_s]
    yield _judge_clock(min(offsets, key=abs, default=None))


def _judge_clock(offset_s: float | None) -> Check:
    if offset_s is None:
        return Check("clock", ok=True, detail="could not be compared with Gemini's", warning=True)
    if abs(offset_s) <= MAX_OFFSET_S:
        return Check("clock", ok=True, detail=f"within {MAX_OFFSET_S:.0f} s of Gemini's")

    side = "ahead of" if offset_s > 0 else "behind"
    fix = "set the clock of this machine by NTP; signatures are judged by it"
    detail = f"{abs(offset_s):.0f} s {side} Gemini's: {fix}"
    return Check("clock", ok=True, detail=detail, warning=True)


def check_models(settings: Settings) -> Iterator[Check]:
    """The models of each project's latest batches. Errors are left to the check of its key."""
    today = datetime.now(UTC).date()
    for project in settings.projects.values():
        try:
            with Gemini(settings.base_url, project.api_key, settings.api_version) as gemini:
                listed = islice(gemini.list_batches(), LATEST_BATCHES)
                models = {one.model for one in listed if isinstance(one, Batch)}
        except GeminiError:
            continue
        for model in sorted(model for model in models if model):
            for warning in model_warnings(model, today):
                yield Check("model", ok=True, detail=f"{project.label}: {warning}", warning=True)


def check_secrets(settings: Settings) -> Iterator[Check]:
    """Where PUBLIC_URL says that webhooks are wanted, a project without any secret is a warning."""
    projects = settings.projects.values()
    said = "; ".join(_secrets_of(project) for project in projects)
    lacks = any(not (project.secrets or project.audience) for project in projects)
    is_wanted = settings.public_url is not None
    yield Check("webhook secret", ok=True, detail=said, warning=lacks and is_wanted)


def _secrets_of(project: Project) -> str:
    if project.secrets:
        return f"{count_of(len(project.secrets), 'secret', 'secrets')} at {project.path}"
    return f"none in this environment at {project.path}"


def check_webhooks(settings: Settings) -> Iterator[Check]:
    """What Gemini has registered.

    This never fails: the deployment that runs `doctor` may be what repairs it.
    """
    for project in settings.projects.values():
        try:
            with open_webhooks(settings, project) as client:
                problems = find_problems(
                    list(client.list()), wanted_webhook(settings, project, None)
                )
        except GeminiError as error:
            wrong, found, kinds = [f"could not be checked: {error}"], None, None
        else:
            found = [problem for problem in problems if not problem.is_note]
            wrong = [problem.detail for problem in found]
            kinds = {problem.kind for problem in problems}
        yield from _webhook_steps(settings, project, kinds)
        if found and _does_without(settings) and all(one.kind == "missing" for one in found):
            said = f"none is registered for {project.label}: reconcile runs find its batches"
            yield Check("webhook", ok=True, detail=f"{said}; {_CREATE} registers one")
            continue

        hint = "; `gemini-batch-receiver webhooks doctor` says what to do"
        unknown = "" if project.secrets else ", but for its secret, which is not known here"
        said = "; ".join(wrong) + hint if wrong else f"as it should be{unknown}"
        yield Check("webhook", ok=True, detail=f"{project.label}: {said}", warning=bool(wrong))


def _does_without(settings: Settings) -> bool:
    """Whether nothing set here says that there should be webhooks."""
    has_secret = any(project.secrets for project in settings.projects.values())
    return settings.public_url is None and not has_secret


def _webhook_steps(
    settings: Settings, project: Project, kinds: Collection[str] | None
) -> Iterator[Check]:
    """What the web processes lack for one project.

    `kinds` are the kinds of problems just seen at Gemini, which are newer than what the processes
    saw; None where Gemini did not answer.
    """
    try:
        with connect(settings.redis_url) as client:
            overview = take_overview(client, settings.projects)
    except InboxUnavailableError:  # another check says so
        return
    web = overview.web
    if kinds is not None:  # a process with another PUBLIC_URL judges by that
        url = settings.public_url
        web = [one.updated_by(project.name, kinds) if one.url == url else one for one in web]
    for step in find_webhook_steps([project.name], web, overview.dynamic):
        yield Check("next step", ok=True, detail=step, warning=True)
