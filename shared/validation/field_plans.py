"""How a field is decoded, and which of its rules are checked after that. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from shared.contracts.model import Field
from shared.validation.checks import ValueCheck, value_check
from shared.validation.column_checks import ColumnCheck, column_check
from shared.validation.transform import ColumnShape, column_shape_of, shape_of


class Step(NamedTuple):
    """The transform and the checks of the field whose column has that position, after msgspec has decoded it."""

    position: int
    required: bool
    shape: ColumnShape | None
    check_value: ValueCheck | None
    check_column: ColumnCheck

    def is_valid(self, value: Any, published: datetime) -> bool:
        """Return whether a transformed value is valid."""
        if value is None or (self.required and value == ""):
            return not self.required
        return self.check_value is None or not self.check_value(value, published)


def make_struct(fields: Mapping[str, tuple[Any, ...]], **options: Any) -> Any:
    """Return a struct type with fields of any name, each with its type and an optional default."""
    definitions = [(f"f{number}", *definition) for number, definition in enumerate(fields.values())]
    names = {f"f{number}": name for number, name in enumerate(fields)}
    return msgspec.defstruct("Event", definitions, rename=names, gc=False, **options)


def plan_field(field: Field, position: int, *, checked: bool) -> tuple[Any, Step | None]:
    """Return the type that a field is decoded as, and its step, None where the type expresses every rule."""
    shape, check_value = shape_of(field), value_check(field) if checked else None
    step = Step(position, field.required, column_shape_of(field), check_value, column_check(field, checked=checked))
    if not checked:
        return Any, step if shape or field.required else None
    if len(field.path) > 1 or field.type not in ("string", "integer", "boolean") or field.pattern is not None:
        return Any, step
    if field.one_of is not None and field.type == "string":
        # Only options that the transform doesn't change; an event with another text is left to the checks.
        unchanged = [text for text in field.one_of if (shape is None or shape(text) == text) and text]
        if unchanged and field.min_length is None and field.max_length is None:
            return Literal[tuple(unchanged)], None
    if field.type == "string" and shape is None and field.one_of is None:
        shortest = max(field.min_length or 0, int(field.required))
        return Annotated[str, msgspec.Meta(min_length=shortest, max_length=field.max_length)], None
    if field.type == "boolean" and field.one_of is None:
        return bool, None
    return Any, step
