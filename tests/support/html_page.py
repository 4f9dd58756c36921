"""Parses pages of the console: their elements, and the rules that every page keeps."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import NamedTuple

_VOID = {"meta", "link", "input", "img", "br", "hr"}


class Element(NamedTuple):
    """An element with its attributes and its text, which includes the text of its descendants."""

    tag: str
    attributes: dict[str, str]
    texts: list[str]

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())


class Page(HTMLParser):
    """The elements of a page, in the order of their start tags; a tag that isn't closed is an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, [])
        self.elements.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}, []))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.texts.append(data)

    def all(self, tag: str) -> list[Element]:
        return [element for element in self.elements if element.tag == tag]

    def texts(self, tag: str) -> list[str]:
        return [element.text for element in self.all(tag)]

    def rows(self) -> list[list[str]]:
        """Return the cells of the rows of all tables, without the rows of headings."""
        found: list[list[str]] = []
        for element in self.elements:
            if element.tag == "tr":
                found.append([])
            elif element.tag == "td" or element.attributes.get("scope") == "row":
                found[-1].append(element.text)
        return [row for row in found if row]


def check_page(html: str) -> Page:
    """Return the parsed page; fail where it has something that runs or loads, or that a screen reader can't name."""
    page = Page(html)
    assert page.elements[0].attributes == {"lang": "en"}
    assert [len(page.all(tag)) for tag in ("header", "nav", "main", "footer", "h1")] == [1] * 5
    assert page.texts("title")[0] == f"{page.texts('h1')[0]} - Sluice"
    for element in page.elements:
        assert element.tag not in ("style", "img", "iframe", "object", "embed", "base")
        assert not [name for name in element.attributes if name.startswith("on") or name == "style"]
        for name in ("href", "src", "action"):
            target = element.attributes.get(name, "/")
            assert target.startswith(("/", "#", "?")), target
            assert not target.startswith("//"), target
    assert [script.texts for script in page.all("script")] in ([], [[]])
    labelled = {label.attributes["for"] for label in page.all("label")}
    assert {each.attributes["id"] for tag in ("input", "select", "textarea") for each in page.all(tag)} == labelled
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(each.attributes.get("scope") for each in page.all("th"))
    assert all(each.attributes.get("aria-label") for each in page.all("svg"))
    return page
