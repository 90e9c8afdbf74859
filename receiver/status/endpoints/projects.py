"""The buttons that pause and resume a Gemini project; they are on the tab of the system."""

from collections.abc import Iterable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from receiver.status.actions import pause_or_resume
from receiver.status.auth import Visitor
from receiver.status.endpoints.acting import answer_action, refuse_action
from receiver.status.endpoints.common import Site
from receiver.status.guard import HOME

PAGE = f"{HOME}/system"


class ProjectEndpoints:
    """Below `/status/system`."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> Iterable[Route]:
        yield self._site.action(f"{PAGE}/{{order}}", self._change)

    async def _change(
        self, request: Request, visitor: Visitor, form: Mapping[str, str]
    ) -> Response:
        order, label = request.path_params["order"], form.get("project", "")
        projects = {one.label: name for name, one in self._site.settings.projects.items()}
        if order not in ("pause", "resume") or label not in projects:
            return refuse_action(self._site, request, visitor)
        return await answer_action(
            self._site,
            request,
            visitor,
            PAGE,
            lambda tools: pause_or_resume(tools, order, projects[label]),
            project=label,
            action=order,
        )
