"""Renders templates and serves static files, with the headers that every page has."""

import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import PurePath
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from receiver.outputs.error_codes import describe_code
from receiver.status import formatting, view_models
from receiver.status.answer_links import result_path
from receiver.status.delivery_queries import show_body

PACKAGE = "receiver.status"
SHOWN_PARTS = 200  # of one submission
TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
CONTENT_POLICY = (
    "default-src 'none'",
    "style-src 'self'",
    "script-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
)
SECURITY: dict[str, str] = {
    "content-security-policy": "; ".join(CONTENT_POLICY),
    "x-content-type-options": "nosniff",
    # With no-referrer a browser would send no Origin with our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
# Of what others wrote: opened by itself, it is shown without any right to load or run something.
FOREIGN = SECURITY | {"content-security-policy": "default-src 'none'; sandbox"}
FRAGMENT = "x-status-fragment"  # a header that our script sends; no form and no link can


def _finalize(value: Any) -> Any:
    """Clean whatever a template shows, as the text that it becomes; Markup is our own."""
    return value if isinstance(value, Markup | int | float) else formatting.clean(str(value))


def mark_code(text: str) -> Markup:
    """A text of ours with commands between backticks, which become `code` elements."""
    parts = [escape(part) for part in formatting.clean(text).split("`")]
    parts[1::2] = [Markup("<code>{}</code>").format(part) for part in parts[1::2]]
    return Markup().join(parts)


def mark_lines(text: str) -> Markup:
    """A text that others wrote, with its lines."""
    return escape(formatting.clean_lines(text))


def mark_trouble(request: Request) -> None:
    """Have the page that answers the request show by its icon that something needs attention."""
    request.state.is_trouble = True


class Pages:
    """All templates, compiled, and all static files.

    Every value is escaped, and a name that a template misspells is an error.
    """

    def __init__(self) -> None:
        files = sorted((resources.files(PACKAGE) / "static").iterdir(), key=lambda file: file.name)
        self._static = {file.name: file.read_bytes() for file in files}
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
        self._env.globals |= {
            "describe_code": describe_code,
            "formatting": formatting,
            "page_path": view_models.page_path,
            "result_path": result_path,
            "show_body": show_body,
            "shown_parts": SHOWN_PARTS,
            "states": view_models.STATES,
            "steps": view_models.STEPS,
            "version": digest[:12],
        }
        self._env.filters |= {"mark_code": mark_code, "mark_lines": mark_lines}
        for name in self._env.list_templates():
            self._env.get_template(name)  # compiled now, so that no delivery waits for it later

    def render(
        self, request: Request, template: str, status: int = 200, here: str = "", **context: Any
    ) -> Response:
        """A page, or for our script only the part that changes.

        `here` is the page's tab.
        """
        layout = "fragment.html" if request.headers.get(FRAGMENT) else "layout.html"
        icon = "icon-trouble.svg" if getattr(request.state, "is_trouble", False) else "icon.svg"
        text = self._env.get_template(template).render(context, layout=layout, here=here, icon=icon)
        return HTMLResponse(text, status, headers={**SECURITY, "cache-control": "no-store"})

    def serve_static(self, name: str) -> Response:
        """A static file. Templates put a version into its address."""
        if name not in self._static:
            return Response(status_code=404)
        headers = {
            **SECURITY,
            "content-type": TYPES[PurePath(name).suffix],
            "cache-control": "public, max-age=86400",
        }
        return Response(self._static[name], headers=headers)
