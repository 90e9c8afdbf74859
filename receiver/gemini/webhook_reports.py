"""What web processes report on themselves and on their projects' webhooks. Pure.

Only a web process can judge a webhook: it has the secrets that deliveries are verified with, and
knows its URL. Commands and the status page show its report.
"""

import time
from collections.abc import Callable, Collection

import msgspec
from msgspec.structs import replace

from receiver.tolerant_json import tolerant_reader

EVIDENCE_LASTS_S = 900.0  # an accepted delivery outweighs for so long what Gemini shows of secrets


class WebhookFault(msgspec.Struct, frozen=True):
    """What is wrong with a project's webhook."""

    kind: str  # a `webhook_diagnosis.FaultKind`
    webhook: str | None  # its id; None where there is none
    detail: str
    advice: str


class ServedProject(msgspec.Struct, frozen=True, kw_only=True):
    """One project from the view of one web process."""

    project: str  # empty for the default project
    secrets: int = 0  # number of secrets that deliveries are verified with
    is_registered: bool | None = None  # at Gemini, for this endpoint; None if not known
    faults: list[WebhookFault] | None = None  # None if not known
    why_unknown: str = "it has not been checked yet"  # if `is_registered` is None

    @property
    def is_settled(self) -> bool:
        """Whether the webhook needs nobody's attention, so that it is unlikely to change soon."""
        return bool(self.is_registered and self.secrets and not self.faults)

    def updated_by(self, kinds: Collection[str]) -> "ServedProject":
        """Updated by a later check that found these kinds of problems, possibly without secrets."""
        is_registered = "missing" not in kinds
        lasting = [
            one
            for one in self.faults or []
            if one.kind in kinds or (one.kind == "secret" and is_registered)
        ]
        return replace(self, is_registered=is_registered, faults=lasting)


class WebProcess(msgspec.Struct, frozen=True, kw_only=True):
    """The report of one web process, a few seconds old."""

    host: str
    pid: int
    url: str | None = None  # PUBLIC_URL
    seen_ms: int  # Unix time by Redis' clock
    projects: list[ServedProject] = []

    def serves(self, project: str) -> ServedProject | None:
        return next((one for one in self.projects if one.project == project), None)

    def updated_by(self, project: str, kinds: Collection[str]) -> "WebProcess":
        """Updated by a later check of one project that found these kinds of problems."""
        projects = [
            one.updated_by(kinds) if one.project == project else one for one in self.projects
        ]
        return replace(self, projects=projects)


class Evidence:
    """When this process last accepted and last refused a delivery of a registered webhook.

    Nobody without a secret can forge an accepted one. A refused one may come from anybody, so it
    only cancels the evidence of accepted ones before it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._accepted_s = self._refused_s = float("-inf")

    def accepted(self) -> None:
        self._accepted_s = self._clock()

    def refused(self) -> None:
        self._refused_s = self._clock()

    @property
    def proves_secret(self) -> bool:
        """A delivery was accepted lately, and none was refused since."""
        return self._accepted_s > max(self._refused_s, self._clock() - EVIDENCE_LASTS_S)


_decode = tolerant_reader(WebProcess)


def read_web_process(data: bytes) -> WebProcess | None:
    """Decode a report; None if it can't be read."""
    try:
        return _decode(data)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, and so are json's
        return None
