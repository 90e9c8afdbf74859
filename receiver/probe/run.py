"""Runs a probe from its first call to the deletion of all that it made."""

import secrets
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

import redis

from receiver.errors import GeminiError, InboxUnavailableError
from receiver.inbox.redis import connect
from receiver.probe.deliveries import DeliveryWatch
from receiver.probe.gemini_steps import GeminiSteps, Job, step_words
from receiver.probe.recorder import Recorder
from receiver.probe.report import Report
from receiver.probe.requests import REQUESTS
from receiver.probe.resources import Resources
from receiver.probe.ways import Ways, find_ways
from receiver.settings.projects import Project
from receiver.settings.settings import Settings

OFFICIAL = "https://generativelanguage.googleapis.com"
DELIVERY_PATIENCE_S = 60.0  # after the last batch has ended
WORKER_PATIENCE_S = 30.0  # a worker stores the answers meanwhile
HINT = "`gemini-batch-receiver webhooks doctor` says what keeps deliveries away"
HINTS = {
    "dynamic webhook": "`gemini-batch-receiver inbox deliveries` says whether one was refused; a"
    " JWT needs GEMINI_WEBHOOK_AUDIENCE"
}
ABOUT = "stand-in"  # what the dynamic webhook's user metadata says, which no report shows


@dataclass(frozen=True)
class Outcome:
    """A probe that has ended."""

    report: Report
    left: list[str]  # names at Gemini, for the terminal alone
    names: list[str]  # of all that it made, which no report may hold
    is_interrupted: bool = False


class ProbeRun:
    """One probe of one project."""

    def __init__(
        self,
        settings: Settings,
        project: Project,
        wait_s: float,
        say: Callable[[str], None],
        agree: Callable[[str], None],
    ) -> None:
        """`say` is told what happens, `agree` what it costs; the latter raises to stop it."""
        self._settings, self._project, self._wait_s = settings, project, wait_s
        self._say, self._agree = say, agree
        api = "Gemini" if settings.base_url == OFFICIAL else "another"
        now = datetime.now(UTC).date().isoformat()
        self._report = Report(version=version("gemini-batch-receiver"), date=now, api=api)
        self._jobs: dict[str, Job] = {}
        self._watch: DeliveryWatch | None = None

    def run(self) -> Outcome:
        """Raises ProbeError before anything that costs was sent, and what `agree` raises."""
        settings = self._settings
        with ExitStack() as stack:
            recorder = stack.enter_context(
                Recorder(settings.base_url, self._project.api_key, settings.api_version)
            )
            client = stack.enter_context(connect(settings.redis_url))
            resources = Resources(recorder, f"gemini-batch-receiver probe {secrets.token_hex(8)}")
            steps = GeminiSteps(recorder, self._report, resources)
            model, cost = steps.choose_model(settings.prices, self._report.date)
            self._report.model, self._report.highest_cost_usd = model, f"{cost:f}"
            words = f"{REQUESTS} requests to {model}, which cost at most ${cost:f}"
            self._agree(f"{words} by the price list of {settings.prices.date}")
            return self._run(recorder, client, resources, steps)

    def _run(
        self,
        recorder: Recorder,
        client: "redis.Redis",
        resources: Resources,
        steps: GeminiSteps,
    ) -> Outcome:
        is_interrupted, left, report = False, list[str](), self._report
        try:
            self._probe(recorder, client, resources, steps)
        except KeyboardInterrupt:
            is_interrupted = True
            report.add("probe", "failed", "it was interrupted")
        except GeminiError as error:
            report.add("probe", "failed", step_words(error))
        except InboxUnavailableError:
            report.add("probe", "failed", "Redis went away")
        finally:
            made = resources.names()
            left = self._clean_up(resources)
        report.calls, report.left = recorder.exchanges, len(left)
        return Outcome(report, left, [*made, resources.display_name], is_interrupted)

    def _probe(
        self,
        recorder: Recorder,
        client: "redis.Redis",
        resources: Resources,
        steps: GeminiSteps,
    ) -> None:
        ways = find_ways(self._settings, self._project, client)
        has_web = not (ways.no_static and ways.no_dynamic)
        if has_web:
            self._watch = DeliveryWatch(client, self._project.name, recorder.elapsed_s())
        self._say("provoking errors, reading the key set")
        steps.provoke_errors()
        steps.read_keys(self._settings.jwks_url)
        is_pinged = bool(ways.webhook_id) and steps.ping(ways.webhook_id)
        self._say("sending batches")
        self._send(steps, resources, ways)
        self._say("waiting for the batches to end")
        steps.follow(list(self._jobs.values()), self._wait_s)
        if job := self._jobs.get("file"):
            steps.download(job)
        self._receive(ways, is_pinged=is_pinged)

    def _send(self, steps: GeminiSteps, resources: Resources, ways: Ways) -> None:
        model = self._report.model
        if file := steps.upload(resources.display_name):
            self._keep("file", steps.create("file", model, {"fileName": file}))
        if ways.dynamic_url:
            webhook = {"uris": [ways.dynamic_url], "user_metadata": {"about": ABOUT}}
            self._keep("dynamic", steps.create_inline("dynamic", model, webhook))
        self._keep("cancelled", steps.create_inline("cancelled", model))
        if job := self._jobs.get("cancelled"):
            steps.cancel(job)

    def _keep(self, label: str, job: Job | None) -> None:
        if job is not None:
            self._jobs[label] = job

    def _receive(self, ways: Ways, *, is_pinged: bool) -> None:
        """Wait for deliveries, and note which came."""
        tried = {
            "static webhook": ("file", ways.no_static),
            "dynamic webhook": ("dynamic", ways.no_dynamic),
            "ping": ("", ways.no_static),
        }
        came, jobs = set[str](), self._jobs
        if self._watch is not None:
            self._say("waiting for deliveries")
            ended = {label for label, job in jobs.items() if job.has_ended}
            expected = ended if not ways.no_static else ended & {"dynamic"}
            pings = {""} if is_pinged and not ways.no_static else set()
            came = self._watch.wait(expected | pings, jobs, DELIVERY_PATIENCE_S)
            self._watch.report_to(self._report, jobs)
        failed = {one.part for one in self._report.parts if one.result == "failed"}
        for part, (label, why_not) in tried.items():
            if why_not:
                self._report.add(part, "not tried", why_not)
            elif label in came:
                self._report.add(part, "done")
            elif part not in failed:
                self._report.add(part, "not seen", HINTS.get(part, HINT))

    def _clean_up(self, resources: Resources) -> list[str]:
        """Gives what is left at Gemini, and says it. A further Ctrl-C ends it early."""
        self._say("deleting what the probe made at Gemini")
        try:
            self._settle()
            left = resources.delete_all()
        except KeyboardInterrupt:
            left = resources.names()
        for one in left:
            self._say(f"left at Gemini: {one}")
        return left

    def _settle(self) -> None:
        """Let a worker store the answers, and take the batches out of the inbox."""
        if self._watch is None or not self._jobs:
            return
        try:
            if all(job.has_ended for job in self._jobs.values()):
                self._watch.await_worker(self._jobs, WORKER_PATIENCE_S)
            self._watch.forget(self._jobs)
        except InboxUnavailableError:
            self._say("the inbox may still know the probe's batches")
