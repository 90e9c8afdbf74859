"""What a web process says of itself and of its projects' webhooks, for all who show how things stand. Pure.

Only a web process judges a webhook: it alone has the secrets that deliveries are verified with, and knows its address.
"""

import msgspec

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
    is_registered: bool | None = None  # whether Gemini has a webhook for this endpoint; None: not known
    faults: list[WebhookFault] | None = None  # None: nobody could look
    why_unknown: str = "it was not looked at yet"  # where `is_registered` is None

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left for a person to do, so that nothing is about to change."""
        return bool(self.is_registered and self.secrets and not self.faults)


class WebProcess(msgspec.Struct, frozen=True, kw_only=True):
    """One web process, as it said itself a few seconds ago."""

    host: str
    pid: int
    url: str | None = None  # PUBLIC_URL
    seen_ms: int  # Unix time by Redis' clock
    projects: list[ServedProject] = []

    def serves(self, project: str) -> ServedProject | None:
        return next((one for one in self.projects if one.project == project), None)


_decode = tolerant_reader(WebProcess)


def read_web_process(data: bytes) -> WebProcess | None:
    """Undo its encoding; None where it can't be read."""
    try:
        return _decode(data)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, and so are json's
        return None
