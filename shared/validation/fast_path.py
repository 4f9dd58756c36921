"""Validate many events together, column by column, and accept those that are certainly valid. Pure.

A contract becomes two msgspec types. The first decodes events and enforces the types, lengths and options that a type
can express. The second encodes canonical events. The remaining rules are checked per column (`column_checks`), or per
value with the functions of `Transform` and `Checks`. Every event that may be invalid is left to those two, which
produce its findings. `tests/unit/shared/validation/test_fast_path.py` verifies that both ways give the same verdicts.

A hundred events validated together take two fifths of the time that they take one by one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from contextlib import suppress
from datetime import datetime
from io import BytesIO
from itertools import compress
from operator import itemgetter
from types import NoneType
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import astuple

from shared import json_nesting
from shared.contracts.masks import PREFIX
from shared.contracts.model import Contract
from shared.row_keys import MAX_ENCODED_ID_BYTES, MAX_ENCODED_USER_BYTES, cell_keys_of
from shared.timestamps import EPOCH
from shared.validation.event_ids import EventIds
from shared.validation.field_plans import Step, make_struct, plan_field
from shared.validation.masks import Masks, ValueMask
from shared.validation.results import AcceptedColumns
from shared.validation.transform import branches_of, pop_path, prune

# Unknown fields added to the types: producers send a few, and a hostile producer must not grow the types without limit.
MAX_LEARNED_FIELDS = 64
# Names that msgspec can match: JSON doesn't escape them, and they are short enough to keep.
_UNESCAPED_NAME = re.compile(r'[^"\\\x00-\x1f\ud800-\udfff]{1,256}').fullmatch
# A character takes at most 12 bytes percent-encoded; the checks measure longer users exactly.
_MAX_USER_CHARS = MAX_ENCODED_USER_BYTES // 12
_SCALARS = frozenset({str, int, float, bool, NoneType, msgspec.UnsetType})


class _Batch:
    """The events that are valid so far, as columns.

    Attributes:
        rows: index of each event in the call's input.
        published: first publish time of each event.
        columns: the values of each field.
    """

    def __init__(self, rows: Sequence[int], published: Sequence[datetime], columns: list[Sequence[Any]]) -> None:
        self.rows = rows
        self.published = published
        self.columns = columns

    def keep(self, valid: Sequence[bool]) -> None:
        """Remove the events that aren't valid."""
        self.rows = list(compress(self.rows, valid))
        self.published = list(compress(self.published, valid))
        self.columns = [list(compress(column, valid)) for column in self.columns]


class FastResult(NamedTuple):
    """The events of a call that are certainly valid.

    Attributes:
        rows: index of each in the call's input, ascending.
        columns: the accepted events.
    """

    rows: Sequence[int]
    columns: AcceptedColumns


NONE_VALID = FastResult((), AcceptedColumns.of(()))


class FastPath:
    """The fast path of one contract."""

    def __init__(self, contract: Contract, *, quality: bool = True, masks: Masks | None = None) -> None:
        """Prepare the types; without `quality` only id, user and time are checked, like in `Checks`."""
        self._contract = contract
        self._masks = masks
        self._bucket = contract.bucket
        self._ids = EventIds(contract)
        self._quality = quality
        self._allows_unknown = contract.unknown_fields != "reject" or not quality
        self._keeps_unknown = contract.unknown_fields == "keep"
        self._known = {name for field in contract.fields for name in (field.name, field.path[0])}
        self._learned: set[str] = set()
        self._user_is_text = contract.field(contract.user).type == "string"
        encoder = msgspec.json.Encoder()
        self._encode, self._encode_lines = encoder.encode, encoder.encode_lines
        self._supported = all(_UNESCAPED_NAME(field.path[0]) for field in contract.fields)
        if self._supported:
            self._prepare()

    def __call__(self, raws: Sequence[bytes], published: Sequence[datetime], max_bytes: int) -> FastResult:
        """Return the events that are certainly valid.

        Args:
            raws: the bytes of each event.
            published: first publish time of each event.
            max_bytes: largest event to decode.
        """
        if not self._supported or not raws:
            return NONE_VALID
        rows, structs = self._decode_all(raws, max_bytes)
        if not rows:
            return NONE_VALID
        if len(rows) < len(raws):
            published = [published[row] for row in rows]
        batch = _Batch(rows, published, list(zip(*map(astuple, structs), strict=True)))
        self._remove_nested(batch, raws)
        self._transform_and_check(batch)
        for position, mask in self._masked:
            batch.columns[position] = list(map(mask, batch.columns[position]))
        values = self._encode_all(batch)
        columns = self._add_cell_keys(batch, values, raws)
        return FastResult(batch.rows, columns)

    def _decode_all(self, raws: Sequence[bytes], max_bytes: int) -> tuple[Sequence[int], list[Any]]:
        """Return the indexes of the events that decode into the contract's type, and their structs."""
        decode = self._decode
        if max(map(len, raws)) <= max_bytes:
            with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return range(len(raws)), list(map(decode, raws))
        rows, structs = [], []
        for row, raw in enumerate(raws):
            if len(raw) <= max_bytes:
                with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    structs.append(decode(raw))
                    rows.append(row)
        return rows, structs

    def _remove_nested(self, batch: _Batch, raws: Sequence[bytes]) -> None:
        """Remove events that may be nested too deep; other columns hold no arrays and objects."""
        if all(_SCALARS.issuperset(map(type, batch.columns[position])) for position in self._untyped):
            return
        most = json_nesting.MAX_NESTING_DEPTH
        text = b"".join(raws)
        # Each event has one bracket at least, so none can exceed the limit if all together stay below this sum.
        if text.count(b"{") + text.count(b"[") >= most + len(raws):
            batch.keep([raws[row].count(b"{") + raws[row].count(b"[") <= most for row in batch.rows])

    def _transform_and_check(self, batch: _Batch) -> None:
        """Apply the transforms and checks that msgspec's types can't express, and remove events that fail one."""
        if self._nested:
            self._extract_nested(batch)
        for position, _ in self._masked:
            plain = [type(value) is not str or not value.startswith(PREFIX) for value in batch.columns[position]]
            if not all(plain):  # a value that was masked before is left to the checks
                batch.keep(plain)
        if not batch.rows:
            return
        first, last = min(batch.published), max(batch.published)
        for step in self._steps:
            if step.shape is not None:
                batch.columns[step.position] = step.shape(batch.columns[step.position])
            column = batch.columns[step.position]
            if not step.check_column(column, first, last):
                batch.keep(list(map(step.is_valid, column, batch.published)))
                if not batch.rows:
                    return
        for position, default in self._defaults:
            batch.columns[position] = [default if value is None else value for value in batch.columns[position]]
        times = batch.columns[self._time]
        if times and min(times) < EPOCH:
            batch.keep([time >= EPOCH for time in times])

    def _encode_all(self, batch: _Batch) -> list[bytes]:
        """Return the canonical events as JSON, and remove those that JSON can't represent."""
        make, encode = self._canonical, self._encode
        columns = batch.columns if self._order is None else self._order(batch.columns)
        with suppress(OverflowError, RecursionError, UnicodeEncodeError):
            # A line feed within a text is escaped, so each line is an event. A list, since msgspec 0.22 never releases
            # the items of an iterator. Reading lines and removing their ends takes half the time of splitting.
            lines = BytesIO(self._encode_lines(list(map(make, *columns)))) if batch.rows else BytesIO()
            return list(map(bytes.rstrip, lines.readlines()))
        encoded: list[bytes | None] = []
        for event in map(make, *columns):
            try:
                encoded.append(encode(event))
            except (OverflowError, RecursionError, UnicodeEncodeError):
                encoded.append(None)
        batch.keep([each is not None for each in encoded])
        return [each for each in encoded if each is not None]

    def _add_cell_keys(self, batch: _Batch, values: list[bytes], raws: Sequence[bytes]) -> AcceptedColumns:
        """Return the events with their cell keys, without those that may exceed Bigtable's limits."""
        users = batch.columns[self._user] if self._user_is_text else list(map(str, batch.columns[self._user]))
        ids = self._ids.of_columns(list(map(batch.columns.__getitem__, self._id)), (raws[row] for row in batch.rows))
        if batch.rows and (max(map(len, users)) > _MAX_USER_CHARS or max(map(len, ids)) > MAX_ENCODED_ID_BYTES):
            valid = [
                len(user) <= _MAX_USER_CHARS and len(id_) <= MAX_ENCODED_ID_BYTES
                for user, id_ in zip(users, ids, strict=True)
            ]
            batch.keep(valid)
            users, ids = list(compress(users, valid)), list(compress(ids, valid))
            values = list(compress(values, valid))
        cell_keys = cell_keys_of(users, ids, batch.columns[self._time], self._bucket)
        return AcceptedColumns(*cell_keys, values, [()] * len(values))

    def learn(self, names: Set[str]) -> None:
        """Add the names of an accepted event's unknown fields to the types, so that later events can have them.

        An event with more unknown fields than the types may gain teaches none.
        """
        if not (self._allows_unknown and self._supported):
            return
        unknown = names - self._known
        if len(self._learned) + len(unknown) > MAX_LEARNED_FIELDS:
            return
        new = {name for name in unknown if _UNESCAPED_NAME(name)}
        if new:
            self._learned |= new
            self._known |= new
            self._prepare()

    def _prepare(self) -> None:
        """Make both types. Columns have this order: top-level fields, unknown fields, fields of nested objects."""
        fields = self._contract.fields
        key_fields = {*self._contract.id, self._contract.user, self._contract.time}
        nested = [field for field in fields if len(field.path) > 1]
        heads = {field.path[0] for field in nested}
        unknown = sorted(heads | self._learned)
        names = [field.name for field in fields if field not in nested]
        unknown_positions = {name: position for position, name in enumerate(unknown, len(names))}
        positions = {name: position for position, name in enumerate(names)}
        positions |= {field.name: position for position, field in enumerate(nested, len(names) + len(unknown))}
        self._nested = [(unknown_positions[field.path[0]], field.path[1:]) for field in nested]
        branches = branches_of(fields)
        self._heads = [(unknown_positions[head], branches[head]) for head in heads]
        self._defaults = [(positions[field.name], field.default) for field in fields if field.default is not None]
        self._user, self._time = positions[self._contract.user], positions[self._contract.time]
        self._id = [positions[name] for name in self._contract.id]
        masks = self._masks
        self._masked: list[tuple[int, ValueMask]] = (
            [(positions[name], masks.mask_of(name)) for name in sorted(masks.names)] if masks else []
        )
        self._steps: list[Step] = []
        self._untyped = [*unknown_positions.values()]
        incoming: dict[str, tuple[Any, ...]] = {}
        for field in fields:
            checked = self._quality or field.name in key_fields
            kind, step = plan_field(field, positions[field.name], checked=checked)
            if step is not None:
                self._steps.append(step)
            if field not in nested:
                incoming[field.path[0]] = (kind,) if field.required else (kind | None, None)
                if not checked:
                    self._untyped.append(positions[field.name])
        incoming |= {name: (dict[str, Any] if name in heads else Any, msgspec.UNSET) for name in unknown}
        self._decode = msgspec.json.Decoder(make_struct(incoming, kw_only=True, forbid_unknown_fields=True)).decode
        # An unknown field with the name of a contract's field is dropped: the event would have two of that name.
        kept = [name for name in unknown if name not in positions] if self._keeps_unknown else []
        outgoing = {field.name: (Any, None) for field in fields} | dict.fromkeys(kept, (Any, msgspec.UNSET))
        order = [positions[field.name] for field in fields] + [unknown_positions[name] for name in kept]
        self._order = None if order == list(range(len(incoming))) else itemgetter(*order)
        self._canonical = make_struct(outgoing, omit_defaults=True)

    def _extract_nested(self, batch: _Batch) -> None:
        """Move fields out of nested objects, and remove events whose objects have further, rejected fields."""
        for position, path in self._nested:
            objects = batch.columns[position]
            batch.columns.append([pop_path(each, path) if each else None for each in objects])
        for position, branches in self._heads:
            if branches:
                for each in filter(None, batch.columns[position]):
                    prune(each, branches)
            batch.columns[position] = [each or msgspec.UNSET for each in batch.columns[position]]
        if not self._allows_unknown:
            for position, _ in self._heads:
                batch.keep([each is msgspec.UNSET for each in batch.columns[position]])
