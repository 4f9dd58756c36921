"""Read Parquet and Arrow IPC files batch by batch, with pyarrow, as lines of JSON."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import Any, Literal

import msgspec

from shared.errors import SourceError
from shared.sources.compression import RawFile, Read
from shared.sources.csv_cells import distinct_names, row_type_of
from shared.sources.json_reader import DamagedError
from shared.sources.records import Block, Piece, Record, Unreadable

Kind = Literal["parquet", "arrow", "arrow stream"]

# Rows that are converted to Python values together.
_ROWS = 1_000
# Bytes per read of a column: without a buffer a whole column of a row group would be in memory.
_BUFFER_BYTES = 1 << 16

# https://parquet.apache.org/docs/file-format/,
# https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format and #encapsulated-message-format
_MAGICS: tuple[tuple[bytes, Kind], ...] = (
    (b"PAR1", "parquet"),
    (b"ARROW1", "arrow"),
    (b"\xff\xff\xff\xff", "arrow stream"),
)
MAGIC_BYTES = 6


def kind_of(start: bytes) -> Kind | None:
    """Return the kind of a file that begins with these bytes; None for another file."""
    return next((kind for magic, kind in _MAGICS if start.startswith(magic)), None)


def rewound(raw: Any, read: Read, kind: Kind, name: str, stack: ExitStack) -> io.BufferedReader:
    """Return the file at its beginning, with `seek`; the stack closes it.

    Args:
        raw: the file.
        read: reads at most N bytes of it.
        kind: of the file, which has an index at its end.
        name: the file name.
        stack: closes what is opened.

    Raises:
        SourceError: the file is a pipe or compressed.
    """
    if not raw.seekable():
        raise SourceError(f"{name}: found {kind} data in a pipe, expected a file: it is read from its end")
    raw.seek(0)
    if kind_of(read(MAGIC_BYTES)) is None:
        raise SourceError(f"{name}: found a compressed {kind} file, expected it as it is: its columns are compressed")
    raw.seek(0)
    return stack.enter_context(io.BufferedReader(_SeekableFile(raw, read), _BUFFER_BYTES))


class _SeekableFile(RawFile):
    """A file with `seek`, read with a function."""

    def __init__(self, file: Any, read: Read) -> None:
        super().__init__(read)
        self._file = file

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position and return it."""
        position: int = self._file.seek(offset, whence)
        return position

    def tell(self) -> int:
        """Return the position."""
        position: int = self._file.tell()
        return position


def read_arrow(kind: Kind, file: io.BufferedReader, name: str) -> Iterator[Piece]:
    """Read each row as an object with the columns' names as keys.

    Memory is that of some pages for each column of a Parquet file, and that of a record batch for Arrow. Times are
    RFC 3339 text with microseconds, in UTC if the column has a time zone. Decimals are numbers with all digits,
    durations are seconds, binary values are text if they are UTF-8 and else hexadecimal, like those of fixed size.

    Args:
        kind: of the file.
        file: at its beginning; only an Arrow stream may be without `seek`.
        name: the file name.

    Raises:
        SourceError: pyarrow isn't installed.
        DamagedError: the file is damaged; the rows before it were yielded.
    """
    try:
        import pyarrow
    except ImportError:
        found = "Parquet" if kind == "parquet" else "Arrow"
        raise SourceError(f"{name}: found {found} data, expected the package: pip install pyarrow") from None
    encode = msgspec.json.Encoder(decimal_format="number").encode
    number = 1
    try:
        for batch in _batches(kind, file):
            try:
                raws = list(map(encode, _rows(batch)))
            except (ValueError, OverflowError, TypeError):  # a value that Python or JSON can't represent
                yield from _one_by_one(batch, encode, name, number)
            else:
                yield Block(raws, name, range(number, number + len(raws)))
            number += batch.num_rows
    except (pyarrow.ArrowException, OSError) as error:
        raise DamagedError(number, error) from error


def _one_by_one(batch: Any, encode: Callable[[Any], bytes], name: str, number: int) -> Iterator[Record | Unreadable]:
    """Yield the rows of a batch; those with a value that can't be represented as unreadable."""
    for at in range(batch.num_rows):
        try:
            (raw,) = map(encode, _rows(batch.slice(at, 1)))
            yield Record(raw, name, number + at)
        except (ValueError, OverflowError, TypeError) as error:
            problem = f"found a value that isn't readable ({error}), expected values that JSON can represent"
            yield Unreadable(name, number + at, problem, b"")


def _batches(kind: Kind, file: Any) -> Iterator[Any]:
    """Yield record batches of at most `_ROWS` rows."""
    import pyarrow
    import pyarrow.parquet

    if kind == "parquet":
        # Times of 96 bits have nanoseconds, which end in 2262; those of Spark can be later.
        parquet = pyarrow.parquet.ParquetFile(
            file, pre_buffer=False, buffer_size=_BUFFER_BYTES, coerce_int96_timestamp_unit="us"
        )
        yield from parquet.iter_batches(batch_size=_ROWS, use_threads=False)
        return
    large: Iterable[Any]
    if kind == "arrow":
        opened = pyarrow.ipc.open_file(file)
        large = map(opened.get_batch, range(opened.num_record_batches))
    else:
        large = pyarrow.ipc.open_stream(file)
    for batch in large:
        for start in range(0, batch.num_rows, _ROWS):
            yield batch.slice(start, _ROWS)


def _rows(batch: Any) -> Iterable[Any]:
    """Return the rows of a batch as values that can be encoded as JSON."""
    names = distinct_names(batch.schema.names)
    make = row_type_of(names) or (lambda *values: dict(zip(names, values, strict=True)))
    columns = [_values(column) for column in batch.columns]
    return map(make, *columns) if columns else ()


def _values(column: Any) -> Sequence[Any]:
    """Return the values of a column as Python values."""
    kind = _readable(column.type)
    if kind != column.type:
        column = column.cast(kind, safe=False)  # not safe: nanoseconds are cut
    values: list[Any] = column.to_pylist()
    convert = _conversion(kind)
    return values if convert is None else [None if value is None else convert(value) for value in values]


def _readable(kind: Any) -> Any:
    """Return a type with the same values, whose times have microseconds and are in UTC, without dictionaries."""
    import pyarrow as pa

    types = pa.types
    if types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if types.is_time64(kind):
        return pa.time64("us")
    if types.is_duration(kind):
        return pa.duration("us")
    if types.is_dictionary(kind):
        return _readable(kind.value_type)
    if types.is_struct(kind):
        return pa.struct([field.with_type(_readable(field.type)) for field in kind])
    if types.is_map(kind):
        return pa.map_(_readable(kind.key_type), _readable(kind.item_type))
    if types.is_large_list(kind):
        return pa.large_list(_readable(kind.value_type))
    if types.is_fixed_size_list(kind):
        return pa.list_(_readable(kind.value_type), kind.list_size)
    return pa.list_(_readable(kind.value_type)) if types.is_list(kind) else kind


def _conversion(kind: Any) -> Callable[[Any], Any] | None:
    """Return the function that makes a value of a type encodable; None if every value is."""
    from pyarrow import types

    if types.is_fixed_size_binary(kind):
        return bytes.hex
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
        return _text
    if types.is_duration(kind):
        return timedelta.total_seconds
    if types.is_struct(kind):
        fields = {field.name: inner for field in kind if (inner := _conversion(field.type)) is not None}
        return None if not fields else lambda value: _convert_fields(value, fields)
    if types.is_map(kind):
        key, item = _conversion(kind.key_type) or _same, _conversion(kind.item_type) or _same
        return lambda pairs: {_key(key(name)): None if value is None else item(value) for name, value in pairs}
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        element = _conversion(kind.value_type)
        return None if element is None else lambda values: [None if each is None else element(each) for each in values]
    return None


def _convert_fields(value: dict[str, Any], fields: dict[str, Callable[[Any], Any]]) -> dict[str, Any]:
    return {
        name: convert(inner) if (convert := fields.get(name)) and inner is not None else inner
        for name, inner in value.items()
    }


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()


def _key(value: Any) -> str:
    return value if type(value) is str else msgspec.json.encode(value).decode().strip('"')


def _same(value: Any) -> Any:
    return value
