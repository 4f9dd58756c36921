"""The filter language of subscriptions (https://cloud.google.com/pubsub/docs/subscription-message-filter)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from infra.emulators.errors import invalid

Filter = Callable[[Mapping[str, str]], bool]

_MAX_BYTES = 256
_TOKEN = re.compile(r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<word>[\w-]+)|(?P<operator>!=|[:=.,()]))""")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))")
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class _Token(NamedTuple):
    kind: str
    text: str
    column: int


def parse_filter(text: str) -> Filter | None:
    """Return the predicate of a filter on the attributes of a message; None for no filter.

    Raises:
        ApiError: the filter is invalid.
    """
    if len(text.encode()) > _MAX_BYTES:
        raise invalid(f"filter: found {len(text.encode())} bytes, expected {_MAX_BYTES} at most")
    if not text:
        return None
    return _Parser(text).parse()


class _Parser:
    """A recursive descent parser. AND and OR have no precedence between them: mixing them needs parentheses."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split()
        self._next = 0

    def parse(self) -> Filter:
        """Return the predicate of the whole text."""
        expression = self._expression()
        if self._peek().kind != "end":
            raise self._error("AND, OR or the end")
        return expression

    def _split(self) -> list[_Token]:
        tokens, position = [], 0
        while position < len(self._text.rstrip()):
            found = _TOKEN.match(self._text, position)
            if found is None:
                rest = self._text[position:].strip()[:20]
                raise invalid(f"filter: found {rest!r} at column {position + 1}, expected a term")
            kind = str(found.lastgroup)
            tokens.append(_Token(kind, found[kind], found.start(kind) + 1))
            position = found.end()
        return [*tokens, _Token("end", "the end", len(self._text) + 1)]

    def _expression(self) -> Filter:
        terms = [self._term()]
        operator = self._peek().text
        if operator in ("AND", "OR"):
            while self._accept(operator):
                terms.append(self._term())
            if self._peek().text in ("AND", "OR"):
                raise self._error("parentheses around AND and OR in one expression")
        if len(terms) == 1:
            return terms[0]
        combine = all if operator == "AND" else any
        return lambda attributes: combine(term(attributes) for term in terms)

    def _term(self) -> Filter:
        if self._accept("NOT") or self._accept("-"):
            negated = self._operand()
            return lambda attributes: not negated(attributes)
        return self._operand()

    def _operand(self) -> Filter:
        token = self._peek()
        if self._accept("("):
            expression = self._expression()
            self._expect(")")
            return expression
        if self._accept("hasPrefix"):
            self._expect("(")
            self._expect("attributes")
            self._expect(".")
            key = self._key()
            self._expect(",")
            prefix = self._string()
            self._expect(")")
            return lambda attributes: key in attributes and attributes[key].startswith(prefix)
        if token.text.startswith("-") and token.text[1:] == "attributes":
            self._next += 1
            negated = self._comparison()
            return lambda attributes: not negated(attributes)
        self._expect("attributes")
        return self._comparison()

    def _comparison(self) -> Filter:
        if self._accept(":"):
            key = self._key()
            return lambda attributes: key in attributes
        self._expect(".")
        key = self._key()
        if self._accept("="):
            value = self._string()
            return lambda attributes: attributes.get(key) == value
        if self._accept("!="):
            value = self._string()
            return lambda attributes: attributes.get(key) != value
        raise self._error("= or !=")

    def _key(self) -> str:
        token = self._peek()
        if token.kind == "word":
            self._next += 1
            return token.text
        return self._string()

    def _string(self) -> str:
        token = self._peek()
        if token.kind != "string":
            raise self._error("a string in double quotes")
        self._next += 1
        return _ESCAPE.sub(_unescape, token.text[1:-1])

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _accept(self, text: str) -> bool:
        token = self._peek()
        if token.kind in ("word", "operator") and token.text == text:
            self._next += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise self._error(text)

    def _error(self, expected: str) -> Exception:
        token = self._peek()
        return invalid(f"filter: found {token.text} at column {token.column}, expected {expected}")


def _unescape(found: re.Match[str]) -> str:
    hexadecimal = found[1] or found[2] or found[3]
    if hexadecimal:
        return chr(min(int(hexadecimal, 16), 0x10FFFF))
    if found[4]:
        return chr(int(found[4], 8))
    return _ESCAPED.get(found[5], found[5])
