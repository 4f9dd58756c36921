"""Write an inferred contract as TOML, with comments on what the sample shows and what to check. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import asdict

from infra.contracts.inference.draft import Draft, DraftField
from shared.contracts.model import DIGEST
from shared.contracts.paths import join_path
from shared.contracts.source import SourceFormat

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+").fullmatch
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_MAX_LINE_CHARS = 118


def contract_text(draft: Draft, source: SourceFormat, header: Iterable[str]) -> str:
    """Return the text of the contract file.

    Args:
        draft: the inferred contract.
        source: how the files are written; keys that are None or "auto" are left out.
        header: the first comment, line by line.
    """
    lines = [*map(_comment, header), "version = 1", f"name = {_value(draft.name)}", ""]
    notation = {key: value for key, value in asdict(source).items() if value not in (None, "auto")}
    if notation:
        lines += ["[source]", *_pairs(notation), ""]
    lines += ["[event]", *_event_lines(draft), ""]
    for field in draft.fields:
        lines += [*_field_lines(field), ""]
    if draft.omitted:
        lines += [*map(_comment, ("Not described, and kept as received:", *draft.omitted)), ""]
    for dimension, measures in draft.aggregates.items():
        lines += [f"[aggregates.{_key(dimension)}]", *_pairs(measures), ""]
    return "\n".join(lines[:-1]) + "\n"


def _event_lines(draft: Draft) -> list[str]:
    ids = list(draft.ids) if len(draft.ids) > 1 else (*draft.ids, DIGEST)[0]
    pairs = {"id": ids, "user": draft.user, "time": draft.time}
    return [
        f"{key} = {_value(value)}" + (f"  # {_plain(draft.checks[key])}" if key in draft.checks else "")
        for key, value in pairs.items()
    ]


def _field_lines(field: DraftField) -> list[str]:
    title = f"[fields.{_key(field.name)}]"
    comment = _plain("; ".join(field.comments))
    path = {} if field.path == (field.name,) else {"from": join_path(field.path)}
    pairs = _pairs(path | field.keys)
    if not comment:
        return [title, *pairs]
    beside = f"{title}  # {comment}"
    return [beside, *pairs] if len(beside) <= _MAX_LINE_CHARS else [_comment(comment), title, *pairs]


def _pairs(table: Mapping[str, Any]) -> list[str]:
    return [f"{_key(key)} = {_value(value)}" for key, value in table.items()]


def _key(text: str) -> str:
    return text if _BARE_KEY(text) else _value(text)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    text = str(value)
    if '"' in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character.isprintable() else f"\\U{ord(character):08X}"


def _comment(text: str) -> str:
    return f"# {_plain(text)}"


def _plain(text: str) -> str:
    """Return text without control characters, which TOML refuses in comments."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
