"""The answers: JSON as the commands print it, a link to the next page, problem details."""

import json
from collections.abc import Sequence
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

MEDIA_TYPE = "application/json"
HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def encode(value: object) -> bytes:
    """As JSON; in ASCII where a text holds half a surrogate pair."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value)).encode()


def respond(value: object, status: int = 200, **headers: str) -> Response:
    return Response(encode(value), status, headers, media_type=MEDIA_TYPE)


def respond_with_page(request: Request, rows: Sequence[object], cursor: str) -> Response:
    """A list; RFC 8288's `Link` names the next page, if there may be one."""
    if not cursor:
        return respond(rows)
    others = [(name, text) for name, text in request.query_params.multi_items() if name != "cursor"]
    address = f"{request.url.path}?{urlencode([*others, ('cursor', cursor)])}"
    return respond(rows, link=f'<{address}>; rel="next"')
