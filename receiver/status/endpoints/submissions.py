"""Submissions: the list of them, and each one's page."""

from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from receiver.status.auth import Visitor
from receiver.status.endpoints.common import Site, read_page_number, read_submission_name
from receiver.status.guard import HOME

LIST = f"{HOME}/submissions"
PATHS = (f"{LIST}/{{submission}}", f"{HOME}/{{project}}/submissions/{{submission}}")
AWAY = "Submissions can't be shown"


class SubmissionEndpoints:
    """Below `/status/submissions`, and for each project below `/status/<project>/submissions`."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> Iterable[Route]:
        yield self._site.page(LIST, self._show_list)
        for path in PATHS:
            yield self._site.page(path, self._show_submission)

    async def _show_list(self, request: Request, visitor: Visitor) -> Response:
        page, problem = await self._site.backend(request).submissions(read_page_number(request))
        if page is None:
            return self._site.guard.report_storage_away(request, visitor, AWAY, problem)
        return self._site.pages.render(
            request, "submissions.html", here="submissions", visitor=visitor, page=page
        )

    async def _show_submission(self, request: Request, visitor: Visitor) -> Response:
        name = read_submission_name(request)
        details, problem = (
            await self._site.backend(request).submission(name) if name is not None else (None, "")
        )
        if problem:
            return self._site.guard.report_storage_away(request, visitor, AWAY, problem)
        if details is None:
            title, text = "No such submission", "The storage does not have this submission."
            return self._site.guard.show_message(request, visitor, 404, title, text)
        return self._site.pages.render(
            request, "submission.html", here="submissions", visitor=visitor, details=details
        )
