"""Renders the templates; every value is escaped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
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
    "/contract": "Contract",
    "/explore": "Explore",
    "/schedule": "Schedule",
    "/flow": "Flow",
}
# Controls other than tab and newline, characters that reverse the direction of text, and surrogates without a pair.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


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


def _multiline(text: str) -> Markup:
    r"""Return a text of many lines escaped; controls as codes such as `\u001b`, which JSON and TOML can read."""
    return escape(_CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


_environment.filters["multiline"] = _multiline


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
