"""Templates, static files, and the headers that every page has."""

import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from receiver.outputs.error_codes import describe_code
from receiver.status import formatting, view_models

PACKAGE = "receiver.status"
STATIC: Mapping[str, str] = {
    "status.css": "text/css; charset=utf-8",
    "status.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
SECURITY: Mapping[str, str] = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with no-referrer a browser would name no origin on our own forms
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
PART = "x-status-part"  # a header of our own script, which no form and no link can send


def _finalize(value: Any) -> Any:
    """Every text that a template shows is cleaned; Markup is ours."""
    return (
        formatting.clean(value)
        if isinstance(value, str) and not isinstance(value, Markup)
        else value
    )


def coded(text: str) -> Markup:
    """A text of ours in which commands stand between backticks."""
    parts = formatting.clean(text).split("`")
    tagged = (
        f"<code>{escape(part)}</code>" if number % 2 else str(escape(part))
        for number, part in enumerate(parts)
    )
    return Markup("".join(tagged))  # noqa: S704 - each part is escaped above


class Pages:
    """Renders. Every value is escaped, and a name that a template misspells is an error."""

    def __init__(self) -> None:
        folder = resources.files(PACKAGE) / "static"
        self._static = {name: (folder / name).read_bytes() for name in STATIC}
        digest = hashlib.sha256(b"".join(self._static.values())).hexdigest()
        self._env = Environment(
            loader=PackageLoader(PACKAGE),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_finalize,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._env.globals["describe_code"] = describe_code
        self._env.globals |= {
            "formatting": formatting,
            "states": view_models.STATES,
            "steps": view_models.STEPS,
            "version": digest[:12],
        }
        self._env.globals["page_path"] = view_models.page_path
        self._env.filters["coded"] = coded
        for name in self._env.list_templates():
            self._env.get_template(name)  # compiled now: while a delivery waits is a bad time

    def answer(
        self, request: Request, template: str, status: int = 200, here: str = "", **context: Any
    ) -> Response:
        """A page; only what moves in it where our script asks. `here` is its entry among the links at the top."""
        layout = "part.html" if request.headers.get(PART) else "frame.html"
        text = self._env.get_template(template).render(context, layout=layout, here=here)
        return HTMLResponse(text, status, headers={**SECURITY, "cache-control": "no-store"})

    def static(self, name: str) -> Response:
        """A file of ours. Its address has a version."""
        if name not in STATIC:
            return Response(status_code=404)
        headers = {
            **SECURITY,
            "content-type": STATIC[name],
            "cache-control": "public, max-age=86400",
        }
        return Response(self._static[name], headers=headers)
