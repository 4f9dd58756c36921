"""Judge events with nothing wrong with them, many at once. Pure.

Nearly all events are good, and of a good one there is nothing to be told. So a contract is turned into two types: one
that msgspec decodes events into, which takes only values of the right types, lengths and options, and one that it
encodes canonical events from. What types can't say is left to the very functions that `Transform` and `Checks` use.
At the first doubt an event is left to those two, which say what is wrong: a verdict never hangs on the way it came
about, and `tests/unit/shared/test_fast_path.py` holds the two ways to the same bytes.

Events go through each step together, not one by one through all steps: the processor then has a step's code at hand,
and 100,000 events take three quarters of the time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec.structs import astuple

from shared import nesting
from shared.checks import Judge, judge_of
from shared.contract import Contract
from shared.contract_field import Field
from shared.keys import EPOCH, MAX_ENCODED_ID, MAX_ENCODED_USER, event_id, event_place
from shared.transform import Shape, shape_of
from shared.verdicts import Accepted

# Names of unknown fields that are learnt: producers have a handful, and a hostile one must not make types without end.
MOST_LEARNT = 64
# Names that msgspec takes for a field's: such as JSON has without escapes, and not too long to be remembered.
_PLAIN = re.compile(r'[^"\\\x00-\x1f\ud800-\udfff]{1,256}').fullmatch
# A character makes at most 12 bytes of percent-encoding; what is longer is for the checks to look at.
_new = tuple.__new__  # what Accepted(...) calls in the end, at half the cost
_LONGEST_USER = MAX_ENCODED_USER // 12


class _Step(NamedTuple):
    """What is left to do for one field when msgspec has decoded it."""

    at: int
    required: bool
    shape: Shape | None
    judge: Judge | None


class FastPath:
    """The fast path of one contract."""

    def __init__(self, contract: Contract, *, quality: bool = True) -> None:
        """Prepare; without `quality`, only id, user and time are held to anything, as `Checks` does it."""
        self._contract = contract
        self._bucket = contract.bucket
        self._quality = quality
        self._learns = contract.unknown_fields != "reject" or not quality
        self._keeps = contract.unknown_fields == "keep"
        self._named = {field.name for field in contract.fields} | {field.path[0] for field in contract.fields}
        self._learnt: set[str] = set()
        self._encode = msgspec.json.Encoder().encode
        self._able = all(_PLAIN(field.path[0]) for field in contract.fields)
        if self._able:
            self._prepare()

    def __call__(self, raws: Sequence[bytes], published: datetime, longest: int) -> list[Accepted | None]:
        """Judge events that were published then; None for those that anything is, or might be, wrong with.

        Args:
            raws: one event each.
            published: when they were first published.
            longest: bytes of an event; a longer one is left to others.
        """
        if not self._able:
            return [None] * len(raws)
        decode, finish, order, place = self._decode, self._finish, self._order, self._place
        make, encode = self._canonical, self._encode
        decoded: list[Any] = []
        for raw in raws:
            try:
                fit = len(raw) <= longest and raw.count(b"{") + raw.count(b"[") <= nesting.MAX_DEPTH
                decoded.append(astuple(decode(raw)) if fit else None)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                decoded.append(None)
        finished = [None if values is None else finish([*values], published) for values in decoded]
        encoded: list[bytes | None] = []
        for values in finished:
            try:
                encoded.append(None if values is None else encode(make(*(order(values) if order else values))))
            except (OverflowError, RecursionError, UnicodeEncodeError):
                encoded.append(None)
        return [
            None if values is None or value is None else place(values, value)
            for values, value in zip(finished, encoded, strict=True)
        ]

    def learn(self, names: Iterable[str]) -> None:
        """Take note of the names of unknown fields that an event had; the next with them comes this way."""
        if not (self._learns and self._able):
            return
        new = {name for name in names if name not in self._named and name not in self._learnt and _PLAIN(name)}
        if new and len(self._learnt) + len(new) <= MOST_LEARNT:
            self._learnt |= new
            self._prepare()

    def _prepare(self) -> None:
        """Make both types. Values come in this order: fields taken as they are, unknown ones, those out of objects."""
        fields = self._contract.fields
        placing = {*self._contract.id, self._contract.user, self._contract.time}
        nested = [field for field in fields if len(field.path) > 1]
        heads = {field.path[0] for field in nested}
        unknown = sorted(heads | self._learnt)
        places = {field.name: at for at, field in enumerate([each for each in fields if each not in nested])}
        holders = {name: at for at, name in enumerate(unknown, len(places))}
        places |= {field.name: at for at, field in enumerate(nested, len(places) + len(unknown))}
        self._none = [None] * len(nested)
        self._nested = [(places[field.name], holders[field.path[0]], field.path[1:]) for field in nested]
        self._heads = [holders[head] for head in heads]
        self._defaults = [(places[field.name], field.default) for field in fields if field.default is not None]
        self._user, self._time = places[self._contract.user], places[self._contract.time]
        self._id = [places[name] for name in self._contract.id]
        self._steps: list[_Step] = []
        incoming: dict[str, tuple[Any, ...]] = {}
        for field in fields:
            kind, step = _way(field, places[field.name], checked=self._quality or field.name in placing)
            if step is not None:
                self._steps.append(step)
            if field not in nested:
                incoming[field.path[0]] = (kind,) if field.required else (kind | None, None)
        incoming |= {name: (dict[str, Any] if name in heads else Any, msgspec.UNSET) for name in unknown}
        self._decode = msgspec.json.Decoder(_struct(incoming, kw_only=True, forbid_unknown_fields=True)).decode
        # Both kept and known by the name of a field, a value couldn't be told from that field's own.
        kept = [name for name in unknown if name not in places] if self._keeps else []
        outgoing = {field.name: (Any, None) for field in fields} | dict.fromkeys(kept, (Any, msgspec.UNSET))
        order = [places[field.name] for field in fields] + [holders[name] for name in kept]
        self._order = None if order == list(range(len(incoming))) else itemgetter(*order)
        self._canonical = _struct(outgoing, omit_defaults=True)

    def _finish(self, values: list[Any], published: datetime) -> list[Any] | None:
        """Shape and judge what msgspec couldn't; None at the first doubt."""
        if self._nested and not self._take_out(values):
            return None
        for at, required, shape, judge in self._steps:
            value = values[at]
            if value is None:
                if required:
                    return None
                continue
            if shape is not None:
                values[at] = value = shape(value)
            if (judge is not None and judge(value, published)) or (required and value == ""):
                return None
        for at, default in self._defaults:
            if values[at] is None:
                values[at] = default
        return None if values[self._time] < EPOCH else values

    def _take_out(self, values: list[Any]) -> bool:
        """Take fields out of the objects they are in; returns whether what is left there is all right."""
        values += self._none
        for at, holder, path in self._nested:
            if values[holder] is not msgspec.UNSET and values[holder]:
                values[at] = _take(values[holder], path)
                if not values[holder]:
                    values[holder] = msgspec.UNSET
        return self._learns or all(values[holder] is msgspec.UNSET for holder in self._heads)

    def _place(self, values: list[Any], value: bytes) -> Accepted | None:
        """Put an event in its place; None if Bigtable hasn't, or might not have, room for its user or id there."""
        user = str(values[self._user])
        encoded_id = event_id([values[at] for at in self._id])
        if len(user) > _LONGEST_USER or len(encoded_id) > MAX_ENCODED_ID:
            return None
        return _new(Accepted, (event_place(user, encoded_id, values[self._time], self._bucket), value, []))


def _struct(fields: Mapping[str, tuple[Any, ...]], **options: Any) -> Any:
    """Make a type with fields of any name, each with its type and maybe a default."""
    definitions = [(f"f{at}", *definition) for at, definition in enumerate(fields.values())]
    names = {f"f{at}": name for at, name in enumerate(fields)}
    return msgspec.defstruct("Event", definitions, rename=names, gc=False, **options)


def _way(field: Field, at: int, *, checked: bool) -> tuple[Any, _Step | None]:
    """Return the type that a field is decoded as, and the step that is left, if any."""
    shape = shape_of(field)
    if not checked:
        return Any, _Step(at, field.required, shape, None) if shape or field.required else None
    if len(field.path) > 1 or field.type not in ("string", "integer", "boolean") or field.pattern is not None:
        return Any, _Step(at, field.required, shape, judge_of(field))
    if field.one_of is not None and field.type == "string":
        # Those that shaping leaves as they are: another text may become one of them, and isn't taken here.
        plain = [text for text in field.one_of if (shape is None or shape(text) == text) and text]
        if plain and field.min_length is None and field.max_length is None:
            return Literal[tuple(plain)], None
    if field.type == "string" and shape is None and field.one_of is None:
        least = max(field.min_length or 0, int(field.required))
        return Annotated[str, msgspec.Meta(min_length=least, max_length=field.max_length)], None
    if field.type == "boolean" and field.one_of is None:
        return bool, None
    return Any, _Step(at, field.required, shape, judge_of(field))


def _take(holder: dict[str, Any], path: tuple[str, ...]) -> Any:
    """Take a value out of nested objects, and those that are empty by that; None if there is none."""
    head, *rest = path
    if not rest:
        return holder.pop(head, None)
    inner = holder.get(head)
    if not inner or not isinstance(inner, dict):
        return None
    value = _take(inner, tuple(rest))
    if len(inner) == 0:
        del holder[head]
    return value
