"""What the cells of a CSV row stand for: the JSON object that a header makes of a row."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

import msgspec

from shared.errors import SourceError

ColumnType = Literal["string", "integer", "number", "boolean", "json"]

Convert = Callable[[list[str]], Any]


def converter(header: list[str] | str, where: str, columns: Mapping[str, ColumnType]) -> Convert:
    """Return what makes of a row's cells a value to encode as JSON, with all that depends on the header alone decided.

    Args:
        header: the cells of the header row; a text says why it can't be read.
        where: it is, for errors.
        columns: by header name, how to read the cells; text where a name isn't in it.

    Raises:
        SourceError: the header can't be used.
    """
    if isinstance(header, str):
        raise SourceError(f"{where}: the header can't be read: {header}")
    given = [name.strip() for name in header]
    _refuse_bad_names(given, where)
    if columns and columns.keys().isdisjoint(given):
        found, expected = ", ".join(map(repr, given))[:200], ", ".join(columns)
        raise SourceError(f"{where}: found the columns {found}, expected a header with some of {expected}")
    taken = {name.split(".")[0] for name in given}
    names = [name or _spare_name(position, taken) for position, name in enumerate(given, 1)]
    width = len(names)
    typed = [(at, _CONVERTERS[kind]) for at, name in enumerate(names) if (kind := columns.get(name)) in _CONVERTERS]
    optional = [name for name, was in zip(names, given, strict=True) if not was]
    nested = [(name, name.split(".")[:-1], name.split(".")[-1]) for name in given if "." in name]
    whole = None if optional or nested else _row_type(names)

    def convert(cells: list[str]) -> Any:
        values: list[Any] = [cell or None for cell in cells] if "" in cells else cells
        if len(values) < width:
            values += [None] * (width - len(values))
        for at, spelled in typed:
            if (cell := values[at]) is not None:
                values[at] = spelled(cell)
        if whole is not None and len(values) == width:
            return whole(*values)
        event = dict(zip(names, values, strict=False))  # surplus cells are for later
        if len(values) > width:
            surplus = enumerate(values[width:], width + 1)
            event.update((_spare_name(position, taken), cell) for position, cell in surplus if cell is not None)
        for name in optional:
            if event[name] is None:
                del event[name]
        for name, parents, leaf in nested:
            node = event
            for parent in parents:
                node = node.setdefault(parent, {})
            node[leaf] = event.pop(name)
        return event

    return convert


def _row_type(names: Sequence[str]) -> Callable[..., msgspec.Struct] | None:
    """Return what is encoded as an object of these names; None where one of them would need escaping.

    Made and encoded it takes a third of what a dict does, which is a sixth of reading a row.
    """
    given = {f"cell_{at}": name for at, name in enumerate(names)}
    try:
        return msgspec.defstruct("Row", [(cell, Any) for cell in given], rename=given, gc=False)
    except ValueError:
        return None


def _refuse_bad_names(names: Sequence[str], where: str) -> None:
    seen: set[str] = set()
    for name in filter(None, names):
        try:
            name.encode()
        except UnicodeEncodeError:
            raise SourceError(f"{where}: found {name!r} in the header, expected UTF-8") from None
        if name in seen:
            raise SourceError(f"{where}: found the column {name!r} twice in the header, expected different names")
        seen.add(name)
    for name in seen:
        parts = name.split(".")
        for length in range(1, len(parts)):
            if (parent := ".".join(parts[:length])) in seen:
                raise SourceError(
                    f"{where}: found the columns {parent!r} and {name!r}, expected {parent!r} to be either a value "
                    "or, by the dot, an object"
                )


def _spare_name(position: int, taken: Collection[str]) -> str:
    name = f"column_{position}"
    while name in taken:
        name += "_"
    return name


# What `int` and `float` take beyond these (1_000, other scripts' digits, nan) is no number to a spreadsheet.
_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,20}\s*", re.ASCII).fullmatch
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+(\.[0-9]*)?|(\.[0-9]+))([eE][+-]?[0-9]+)?\s*", re.ASCII).fullmatch
_JSON_NUMBER = msgspec.json.Decoder(int | float).decode
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def _integer(cell: str) -> int | str:
    # 64 bits, signed or not, are what JSON encoders and decoders agree on.
    return value if _INTEGER(cell) and -(2**63) <= (value := int(cell)) < 2**64 else cell


def _number(cell: str) -> float | str:
    try:
        # Most are spelled as JSON spells them, and then this takes a tenth of the time: a tenth of reading a row.
        if type(number := _JSON_NUMBER(cell)) is float:
            return number
    except msgspec.DecodeError:
        pass
    spelled = _NUMBER(cell)
    if spelled is None:
        return cell
    if spelled.lastindex is None and type(value := _integer(cell)) is int:  # neither a fraction nor an exponent
        return value
    return number if math.isfinite(number := float(cell)) else cell


def _boolean(cell: str) -> bool | str:
    return _BOOLEANS.get(cell.strip().lower(), cell)


def _json(cell: str) -> msgspec.Raw | str:
    try:
        text = cell.encode()
        msgspec.json.decode(text)  # finds more than format does: numbers beyond all range, half surrogate pairs
        return msgspec.Raw(msgspec.json.format(text, indent=-1))  # as it is spelled, but on one line
    except (msgspec.DecodeError, RecursionError):
        return cell


_CONVERTERS: dict[ColumnType, Callable[[str], Any]] = {
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "json": _json,
}
