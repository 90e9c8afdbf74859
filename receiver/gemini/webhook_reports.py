"""What a web process says of itself and of its projects' webhooks, for all who show how things stand. Pure.

Only a web process judges a webhook: it alone has the secrets that deliveries are verified with, and knows its address.
"""

from collections.abc import Collection

import msgspec
from msgspec.structs import replace

from receiver.tolerant_json import tolerant_reader


class WebhookFault(msgspec.Struct, frozen=True):
    """What is wrong with a project's webhook."""

    kind: str  # as `webhooks doctor` names it
    webhook: str | None  # its id; None where there is none
    detail: str
    advice: str


class ServedProject(msgspec.Struct, frozen=True, kw_only=True):
    """One project as one web process sees it."""

    project: str  # empty for the default project
    secrets: int = 0  # that the process verifies deliveries with; how many, never which
    is_registered: bool | None = (
        None  # whether Gemini has a webhook for this endpoint; None: not known
    )
    faults: list[WebhookFault] | None = None  # None: nobody could look
    why_unknown: str = "it has not been checked yet"  # where `is_registered` is None

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left for a person to do, so that nothing is about to change."""
        return bool(self.is_registered and self.secrets and not self.faults)

    def as_seen_now(self, kinds: Collection[str]) -> "ServedProject":
        """The same after a later look that found problems of these kinds, by somebody who may not know the secrets."""
        is_registered = "missing" not in kinds
        lasting = [
            one
            for one in self.faults or []
            if one.kind in kinds or (one.kind == "secret" and is_registered)
        ]
        return replace(self, is_registered=is_registered, faults=lasting)


class WebProcess(msgspec.Struct, frozen=True, kw_only=True):
    """One web process, as it said itself a few seconds ago."""

    host: str
    pid: int
    url: str | None = None  # PUBLIC_URL
    seen_ms: int  # Unix time by Redis' clock
    projects: list[ServedProject] = []

    def serves(self, project: str) -> ServedProject | None:
        return next((one for one in self.projects if one.project == project), None)

    def as_seen_now(self, project: str, kinds: Collection[str]) -> "WebProcess":
        """The same with a later look at one project's webhooks, which found problems of these kinds."""
        projects = [
            one.as_seen_now(kinds) if one.project == project else one for one in self.projects
        ]
        return replace(self, projects=projects)


_decode = tolerant_reader(WebProcess)


def read_web_process(data: bytes) -> WebProcess | None:
    """Undo its encoding; None where it can't be read."""
    try:
        return _decode(data)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, and so are json's
        return None
