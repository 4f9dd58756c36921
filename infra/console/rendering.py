"""Renders the templates; every value is escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from infra.batch.report import printable
from infra.console import changes
from infra.console.tables import tables_of

# The pages in the order of the navigation: path and title.
PAGES = {
    "/days": "Days",
    "/user": "User",
    "/rejected": "Rejected",
    "/explore": "Explore",
    "/schedule": "Schedule",
    "/flow": "Flow",
}


def _visible(value: object) -> object:
    """Return a value with control and direction characters escaped: these could reorder or hide the text around it."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


_environment = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    finalize=_visible,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, **values: Any) -> str:
    """Return a template as HTML."""
    return _environment.get_template(template).render(**values)


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page of the console."""
    tables = tables_of(request)
    common = {
        "path": request.url.path,
        "pages": PAGES,
        "settings": tables.settings,
        "allow_changes": changes.are_allowed(request),
    }
    html = render(template, **common, **values)
    return HTMLResponse(html, status)
