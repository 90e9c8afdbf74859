"""All buried batches that match: how many, why, and the button that retries them."""

from collections.abc import Iterable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from receiver.settings.projects import DEFAULT
from receiver.status.actions import retry_matching
from receiver.status.auth import Visitor
from receiver.status.buried_queries import read_buried
from receiver.status.endpoints.acting import answer_action, back_to, read_result
from receiver.status.endpoints.common import Site
from receiver.status.guard import HOME
from receiver.status.offers import offer_to_retry

PAGE = f"{HOME}/buried"
MAX_CAUSE = 200  # characters of the filter


class BuriedEndpoints:
    """Below `/status/buried`."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> Iterable[Route]:
        yield self._site.page(PAGE, self._show)
        yield self._site.action(f"{PAGE}/retry", self._retry)

    async def _show(self, request: Request, visitor: Visitor) -> Response:
        project, cause = _read_filter(request.query_params)
        found = await self._site.backend(request).ask(
            lambda client: read_buried(client, _project_of(project), cause)
        )
        offer = offer_to_retry(len(found.names), project, cause, is_all=found.is_all)
        return self._site.pages.render(
            request,
            "buried.html",
            here="batches",
            visitor=visitor,
            found=found,
            project=project,
            projects=[one.label for one in self._site.settings.projects.values()],
            cause=cause,
            offer=offer,
            result=read_result(request),
        )

    async def _retry(self, request: Request, visitor: Visitor, form: Mapping[str, str]) -> Response:
        project, cause = _read_filter(form)
        return await answer_action(
            self._site,
            request,
            visitor,
            back_to(PAGE, {"project": project, "cause": cause}),
            lambda tools: retry_matching(tools, _project_of(project), cause),
            project=project,
            cause=cause,
            action="retry",
        )


def _read_filter(query: Mapping[str, str]) -> tuple[str, str]:
    """The label of a project, and what a cause has in it; each may be empty."""
    return query.get("project", "").strip(), query.get("cause", "").strip()[:MAX_CAUSE]


def _project_of(label: str) -> str | None:
    """Its name in the inbox; None for all."""
    return None if not label else "" if label == DEFAULT else label
