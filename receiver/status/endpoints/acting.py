"""What is answered to a button, and what the page says of it afterwards."""

import logging
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from receiver.status import formatting
from receiver.status.actions import RESULTS, ActionResult, Done, Tools
from receiver.status.auth import Visitor
from receiver.status.endpoints.common import MAX_DIGITS, Site

log = logging.getLogger(__name__)


async def answer_action(
    site: Site,
    request: Request,
    visitor: Visitor,
    back: str,
    call: Callable[[Tools], Done],
    **about: str,
) -> Response:
    """Do it, and lead to the page `back`; `about` goes into the log."""
    done, problem = await site.backend(request).act(call)
    outcome = done.result if done else problem
    log.info("status.acted", extra={**about, "outcome": outcome})
    if done is None:
        return site.guard.show_message(request, visitor, 502, "Not done", problem)
    count = "" if done.count is None else f"&count={done.count}"
    joint = "&" if "?" in back else "?"
    return RedirectResponse(f"{back}{joint}result={done.result}{count}", 303)


def refuse_action(site: Site, request: Request, visitor: Visitor) -> Response:
    """Somebody made up the address of a button."""
    text = "There is no such button."
    return site.guard.show_message(request, visitor, 404, "Not done", text)


def read_result(request: Request) -> ActionResult | None:
    """What to say of the action that led to this address; None where none did."""
    found = RESULTS.get(request.query_params.get("result", ""))
    if found is None:
        return None
    text = request.query_params.get("count", "")
    is_number = text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
    count = formatting.count(int(text)) if is_number else "Some"
    return ActionResult(found.is_done, found.text.replace("{}", count))


def back_to(path: str, query: Mapping[str, str]) -> str:
    """A page with what is not empty of its query."""
    given = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(given)}" if given else path
