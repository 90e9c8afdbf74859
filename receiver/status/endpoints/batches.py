"""Batches: the lists of them, and each one's page with its buttons."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import get_args

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from receiver.inbox.ledger import BURIED_TTL_S, DONE_TTL_S
from receiver.status.actions import Action, run_action
from receiver.status.auth import Visitor
from receiver.status.batch_actions import read_batch_actions
from receiver.status.batch_details import FILTERS, MISSING, Listing
from receiver.status.batch_search import LIST, OUTCOME_WORDS, START, BatchSearch, read_search
from receiver.status.downloads import list_downloads
from receiver.status.endpoints.acting import answer_action, read_result, refuse_action
from receiver.status.endpoints.common import Site, read_batch_name, read_count
from receiver.status.guard import HOME
from receiver.status.view_models import page_path

FORMER_LIST = f"{HOME}/list"
PATHS = (f"{HOME}/batches/{{id}}", f"{HOME}/{{project}}/batches/{{id}}")


class BatchEndpoints:
    """Below `/status/batches`, and for each project below `/status/<project>/batches`."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> Iterable[Route]:
        yield self._site.page(LIST, self._show_list)
        yield Route(FORMER_LIST, self._leave_former_list, methods=["GET"])
        for path in PATHS:
            yield self._site.page(path, self._show_batch)
            yield self._site.action(f"{path}/{{action}}", self._act)

    async def _show_list(self, request: Request, visitor: Visitor) -> Response:
        search = read_search(request.query_params)
        backend = self._site.backend(request)
        found, snapshot = await asyncio.gather(backend.batches(search), backend.snapshot())
        asks_storage = search.wanted.text and (found.is_empty or search.key_cursor is not None)
        elsewhere, problem = await backend.elsewhere(search) if asks_storage else (None, "")

        return self._site.pages.render(
            request,
            "batches.html",
            here="batches",
            visitor=visitor,
            search=search,
            found=found,
            elsewhere=elsewhere,
            storage_problem=problem,
            projects=self._labels(search),
            outcomes=OUTCOME_WORDS,
            key_start=START,
            done_ttl_s=DONE_TTL_S,
            buried_ttl_s=BURIED_TTL_S,
            at_gemini=snapshot.overview.running,
            shows_answers=self._site.settings.status_answers,
        )

    def _labels(self, search: BatchSearch) -> dict[str, str]:
        """The projects to choose from; one that is in the inbox alone can be in the address."""
        labels = [project.label for project in self._site.settings.projects.values()]
        chosen = search.fields.get("project")
        return {label: label for label in (*labels, chosen) if label}

    async def _leave_former_list(self, request: Request) -> Response:
        """Bookmarks of the lists by state."""
        query = request.url.query
        return RedirectResponse(f"{LIST}?{query}" if query else LIST, 308)

    async def _show_batch(self, request: Request, visitor: Visitor) -> Response:
        name = read_batch_name(request)
        if name is None:
            text = "No batch can have this name."
            return self._site.guard.show_message(request, visitor, 404, "Not a batch", text)

        backend = self._site.backend(request)
        now_ms, row = await backend.batch(name)
        listing = _read_listing(request)
        details, problem = await backend.details(name, listing)
        running = (await backend.snapshot()).overview.find_running(name)
        is_stored = details is None or details.manifest is not None or details.problem

        return self._site.pages.render(
            request,
            "batch.html",
            200 if row is not None or is_stored or running else 404,
            here="batches",
            visitor=visitor,
            name=name,
            path=page_path(name),
            now_ms=now_ms,
            row=row,
            running=running,
            details=details,
            listing=listing,
            downloads=list_downloads(details.manifest) if details and details.manifest else {},
            shows_answers=self._site.settings.status_answers,
            storage_problem=problem,
            storage_location=backend.storage_location,
            actions=await read_batch_actions(backend, name, row, details),
            result=read_result(request),
        )

    async def _act(self, request: Request, visitor: Visitor, _form: Mapping[str, str]) -> Response:
        name, action = read_batch_name(request), request.path_params["action"]
        if name is None or action not in get_args(Action):
            return refuse_action(self._site, request, visitor)
        return await answer_action(
            self._site,
            request,
            visitor,
            page_path(name) or LIST,
            lambda tools: run_action(action, tools, name),
            batch=name,
            action=action,
        )


def _read_listing(request: Request) -> Listing:
    wanted = request.query_params.get("outcome", "")
    outcome = wanted if wanted == MISSING or wanted in FILTERS else ""
    return Listing(outcome, read_count(request, "after"))
