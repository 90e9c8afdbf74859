"""The parts of the system: workers, web processes, Gemini projects, and how all is set up."""

from collections.abc import Iterable, Iterator
from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from receiver.settings.settings import Settings
from receiver.status.auth import Visitor
from receiver.status.backend import Backend
from receiver.status.endpoints.acting import read_result
from receiver.status.endpoints.common import Site
from receiver.status.formatting import span
from receiver.status.guard import HOME
from receiver.status.offers import offer_for_projects


class SystemEndpoints:
    """Below `/status/system`."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> Iterable[Route]:
        yield self._site.page(f"{HOME}/system", self._show)

    async def _show(self, request: Request, visitor: Visitor) -> Response:
        backend = self._site.backend(request)
        snapshot = await backend.snapshot()
        paused = snapshot.overview.paused
        projects = {one.label: name in paused for name, one in self._site.settings.projects.items()}
        return self._site.pages.render(
            request,
            "system.html",
            here="system",
            visitor=visitor,
            snapshot=snapshot,
            places=describe_places(backend),
            setup=describe_setup(self._site.settings),
            pauses=list(offer_for_projects(projects)),
            result=read_result(request),
        )


def describe_places(backend: Backend) -> Iterator[tuple[str, str]]:
    """Where everything is, as pairs of a label and an address."""
    yield "Answers are stored in", backend.storage_location
    yield "The inbox is in", backend.redis_location


def describe_setup(settings: Settings) -> Iterator[tuple[str, str]]:
    """What this web process was started with, as pairs of a label and a text. No secrets."""
    interval_s = settings.reconcile_interval_s
    hosts = sorted(set(settings.notices.hosts.values()))
    yield "Public address", settings.public_url or "`PUBLIC_URL` is not set"
    yield "Reconcile run", f"every {span(interval_s)}" if interval_s else "none by itself"
    yield "Notices go to", ", ".join(hosts) or "nobody: `NOTIFY_URL` is not set"
    yield "Forms of each answer", ", ".join(("raw", *settings.forms))
    yield "Metrics", "at `/metrics`" if settings.metrics_token else "off"
    yield "Version", version("gemini-batch-receiver")
