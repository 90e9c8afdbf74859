"""The status page's routes, below `/status`; there are none without STATUS_TOKEN."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, get_args
from urllib.parse import parse_qsl

import redis
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from receiver.batch_names import INBOX_NAME, BatchName, SubmissionName
from receiver.errors import InboxUnavailableError
from receiver.inbox.entries import State
from receiver.settings.settings import Settings
from receiver.status.actions import RESULTS, Action
from receiver.status.auth import Authenticator, Refusal, Visitor
from receiver.status.backend import Backend
from receiver.status.pages import Pages
from receiver.status.submission_queries import submission_path
from receiver.status.view_models import page_path

HOME = "/status"
SUBMISSIONS = f"{HOME}/submissions"
MAX_FORM_BYTES = 8 * 1024
MAX_FIELDS = 8
MAX_DIGITS = 7  # of the number of a page
log = logging.getLogger(__name__)
Handler = Callable[[Request, Visitor], Awaitable[Response]]


class StatusPage:
    """The page of one process. `client_of` gives the process's client of Redis, once it runs."""

    def __init__(self, settings: Settings, client_of: "Callable[[Request], redis.Redis]") -> None:
        self._settings, self._client_of = settings, client_of
        self._auth = Authenticator(settings.status_token, settings.public_url)
        self._pages = Pages()
        self._backend: Backend | None = None

    def routes(self) -> Sequence[Route]:
        """Everything below `/status`."""
        batch_paths = (f"{HOME}/batches/{{id}}", f"{HOME}/{{project}}/batches/{{id}}")
        submission_paths = (
            f"{HOME}/submissions/{{submission}}",
            f"{HOME}/{{project}}/submissions/{{submission}}",
        )
        pages: dict[str, Handler] = {
            HOME: self._show_overview,
            f"{HOME}/": self._show_overview,
            f"{HOME}/list": self._show_list,
            SUBMISSIONS: self._show_submissions,
            **dict.fromkeys(submission_paths, self._show_submission),
            **dict.fromkeys(batch_paths, self._show_batch),
        }
        forms = {
            f"{HOME}/login": self._log_in,
            f"{HOME}/logout": self._guard(self._log_out),
            **{f"{path}/{{action}}": self._guard(self._act) for path in batch_paths},
        }

        return [
            Route(f"{HOME}/static/{{name}}", self._serve_static, methods=["GET"]),
            Route(f"{HOME}/login", self._leave_login, methods=["GET"]),
            *(Route(path, self._guard(show), methods=["GET"]) for path, show in pages.items()),
            *(
                Route(path, take, methods=["POST"], max_body_size=MAX_FORM_BYTES)
                for path, take in forms.items()
            ),
        ]

    def _guard(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """The handler for visitors alone, with an answer for whatever goes wrong in it."""

        async def endpoint(request: Request) -> Response:
            visitor = self._auth.authenticate(request)
            if isinstance(visitor, Refusal):
                return self._ask_for_token(request, visitor)
            try:
                return await handler(request, visitor)
            except InboxUnavailableError as error:
                return self._report_redis_away(request, visitor, str(error))
            except Exception:
                log.exception("status.failed")
                text = (
                    "Something in Redis or the storage is not as this program writes it. The log"
                    " of the web process says more."
                )
                return self._show_message(request, visitor, 500, "This page failed", text)

        return endpoint

    async def _show_overview(self, request: Request, visitor: Visitor) -> Response:
        backend = self._backend_of(request)
        snapshot = await backend.snapshot()
        return self._pages.render(
            request,
            "overview.html",
            here="home",
            visitor=visitor,
            snapshot=snapshot,
            storage_location=backend.storage_location,
            redis_location=backend.redis_location,
        )

    async def _show_list(self, request: Request, visitor: Visitor) -> Response:
        wanted: Any = request.query_params.get("state")
        state: State = wanted if wanted in get_args(State) else "done"
        page = await self._backend_of(request).page(state, _read_page_number(request))
        return self._pages.render(request, "list.html", here=state, visitor=visitor, page=page)

    async def _show_batch(self, request: Request, visitor: Visitor) -> Response:
        name = _name_of(request)
        if name is None:
            text = "No batch can have this name."
            return self._show_message(request, visitor, 404, "Not a batch", text)

        backend = self._backend_of(request)
        now_ms, row = await backend.batch(name)
        details, problem = await backend.details(name, _read_page_number(request))
        is_stored = details is None or details.manifest is not None or details.problem

        return self._pages.render(
            request,
            "batch.html",
            200 if row is not None or is_stored else 404,
            visitor=visitor,
            name=name,
            path=page_path(name),
            now_ms=now_ms,
            row=row,
            details=details,
            storage_problem=problem,
            storage_location=backend.storage_location,
            result=RESULTS.get(request.query_params.get("result", "")),
        )

    async def _show_submissions(self, request: Request, visitor: Visitor) -> Response:
        page, problem = await self._backend_of(request).submissions(_read_page_number(request))
        if page is None:
            return self._report_storage_away(request, visitor, problem)
        return self._pages.render(
            request, "submissions.html", here="submissions", visitor=visitor, page=page
        )

    async def _show_submission(self, request: Request, visitor: Visitor) -> Response:
        name = _submission_of(request)
        details, problem = (
            await self._backend_of(request).submission(name) if name is not None else (None, "")
        )
        if problem:
            return self._report_storage_away(request, visitor, problem)
        if details is None:
            text = "The storage does not have this submission."
            return self._show_message(request, visitor, 404, "No such submission", text)
        return self._pages.render(
            request, "submission.html", here="submissions", visitor=visitor, details=details
        )

    async def _act(self, request: Request, visitor: Visitor) -> Response:
        name, action = _name_of(request), request.path_params["action"]
        if name is None or action not in get_args(Action):
            text = "There is no such button."
            return self._show_message(request, visitor, 404, "Not done", text)
        if not self._auth.may_act(request, visitor, await _read_form(request)):
            return self._forbid(request, visitor)

        result, problem = await self._backend_of(request).run(action, name)
        outcome = result or problem
        log.info("status.acted", extra={"batch": name, "action": action, "outcome": outcome})
        if problem:
            return self._show_message(request, visitor, 502, "Not done", problem)
        return RedirectResponse(f"{page_path(name)}?result={result}", 303)

    async def _log_in(self, request: Request) -> Response:
        form = await _read_form(request)
        back = _choose_way_back(form.get("back", ""))
        if refusal := self._auth.log_in(request, form.get("token", "")):
            if not refusal.retry_after_s:  # a flood of wrong tokens must not flood the log
                log.warning("status.login_refused", extra={"status": refusal.status})
            return self._ask_for_token(request, refusal, back)

        log.info("status.login")
        response = RedirectResponse(back, 303)
        self._auth.open_session(request, response)
        return response

    async def _leave_login(self, _request: Request) -> Response:
        """Somebody opens the address that a failed login has left in the browser."""
        return RedirectResponse(HOME, 303)

    async def _log_out(self, request: Request, visitor: Visitor) -> Response:
        if not self._auth.may_act(request, visitor, await _read_form(request)):
            return self._forbid(request, visitor)
        response = RedirectResponse(HOME, 303)
        self._auth.close_session(response)
        return response

    async def _serve_static(self, request: Request) -> Response:
        return self._pages.serve_static(request.path_params["name"])

    def _ask_for_token(
        self, request: Request, refusal: Refusal, back: str | None = None
    ) -> Response:
        answer = self._pages.render(
            request,
            "login.html",
            refusal.status,
            refusal=refusal,
            back=back or _path_of_page(request),
        )
        answer.headers["www-authenticate"] = "Bearer"
        if refusal.retry_after_s:
            answer.headers["retry-after"] = str(refusal.retry_after_s)
        return answer

    def _report_redis_away(self, request: Request, visitor: Visitor, cause: str) -> Response:
        log.warning("status.unavailable", extra={"cause": cause})
        if request.method == "POST":
            text = f"{cause}. It may have been done: see the page once Redis answers."
            return self._show_message(request, visitor, 503, "Redis is away", text)
        return self._pages.render(request, "redis_away.html", 503, visitor=visitor, cause=cause)

    def _report_storage_away(self, request: Request, visitor: Visitor, cause: str) -> Response:
        log.warning("status.storage_unavailable", extra={"cause": cause})
        title = "Submissions can't be shown"
        return self._show_message(request, visitor, 503, title, cause)

    def _forbid(self, request: Request, visitor: Visitor) -> Response:
        text = (
            "The form did not come from this page, or its session is over. Nothing was done: open"
            " the page again."
        )
        return self._show_message(request, visitor, 403, "Not done", text)

    def _show_message(
        self, request: Request, visitor: Visitor, status: int, title: str, text: str
    ) -> Response:
        message = {"title": title, "text": text, "back": _path_of_page(request)}
        return self._pages.render(request, "message.html", status, visitor=visitor, message=message)

    def _backend_of(self, request: Request) -> Backend:
        if self._backend is None:
            self._backend = Backend(self._settings, self._client_of(request))
        return self._backend


async def _read_form(request: Request) -> dict[str, str]:
    """The fields of a small form; none for a body that is no form."""
    body = (await request.body()).decode(errors="replace")
    try:
        return dict(parse_qsl(body, max_num_fields=MAX_FIELDS))
    except ValueError:
        return {}


def _read_page_number(request: Request) -> int:
    text = request.query_params.get("page", "")
    is_number = text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
    return int(text) if is_number else 1


def _name_of(request: Request) -> str | None:
    """The name in the inbox of the batch in the address; None where it can't be one."""
    name = str(BatchName(request.path_params.get("project", ""), request.path_params["id"]))
    return name if INBOX_NAME.fullmatch(name) else None


def _submission_of(request: Request) -> SubmissionName | None:
    """The submission in the address; None where it can't be one."""
    given = SubmissionName(
        request.path_params.get("project", ""), request.path_params["submission"]
    )
    return SubmissionName.read(str(given))


def _path_of_page(request: Request) -> str:
    """The page that an address belongs to, also that of a button."""
    if "submission" in request.path_params:
        submission = _submission_of(request)
        return (submission_path(str(submission)) if submission else None) or HOME
    if request.url.path == SUBMISSIONS:
        return SUBMISSIONS
    name = _name_of(request) if "id" in request.path_params else None
    return (page_path(name) if name else None) or HOME


def _choose_way_back(path: str) -> str:
    """Where to go after the login: one of our own pages, whatever the form says."""
    name = path.removeprefix(f"{HOME}/")
    is_ours = (
        name == "submissions"
        or INBOX_NAME.fullmatch(name) is not None
        or SubmissionName.read(name) is not None
    )
    return path if path.startswith(f"{HOME}/") and is_ours else HOME
