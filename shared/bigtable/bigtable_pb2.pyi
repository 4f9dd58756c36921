from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MutateRowsRequest(_message.Message):
    __slots__ = ("table_name", "entries", "app_profile_id")
    class Entry(_message.Message):
        __slots__ = ("row_key", "mutations")
        ROW_KEY_FIELD_NUMBER: _ClassVar[int]
        MUTATIONS_FIELD_NUMBER: _ClassVar[int]
        row_key: bytes
        mutations: _containers.RepeatedCompositeFieldContainer[Mutation]
        def __init__(self, row_key: _Optional[bytes] = ..., mutations: _Optional[_Iterable[_Union[Mutation, _Mapping]]] = ...) -> None: ...
    TABLE_NAME_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    APP_PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    table_name: str
    entries: _containers.RepeatedCompositeFieldContainer[MutateRowsRequest.Entry]
    app_profile_id: str
    def __init__(self, table_name: _Optional[str] = ..., entries: _Optional[_Iterable[_Union[MutateRowsRequest.Entry, _Mapping]]] = ..., app_profile_id: _Optional[str] = ...) -> None: ...

class MutateRowsResponse(_message.Message):
    __slots__ = ("entries",)
    class Entry(_message.Message):
        __slots__ = ("index", "status")
        INDEX_FIELD_NUMBER: _ClassVar[int]
        STATUS_FIELD_NUMBER: _ClassVar[int]
        index: int
        status: Status
        def __init__(self, index: _Optional[int] = ..., status: _Optional[_Union[Status, _Mapping]] = ...) -> None: ...
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[MutateRowsResponse.Entry]
    def __init__(self, entries: _Optional[_Iterable[_Union[MutateRowsResponse.Entry, _Mapping]]] = ...) -> None: ...

class Status(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class Mutation(_message.Message):
    __slots__ = ("set_cell", "delete_from_column", "delete_from_row")
    class SetCell(_message.Message):
        __slots__ = ("family_name", "column_qualifier", "timestamp_micros", "value")
        FAMILY_NAME_FIELD_NUMBER: _ClassVar[int]
        COLUMN_QUALIFIER_FIELD_NUMBER: _ClassVar[int]
        TIMESTAMP_MICROS_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        family_name: str
        column_qualifier: bytes
        timestamp_micros: int
        value: bytes
        def __init__(self, family_name: _Optional[str] = ..., column_qualifier: _Optional[bytes] = ..., timestamp_micros: _Optional[int] = ..., value: _Optional[bytes] = ...) -> None: ...
    class DeleteFromColumn(_message.Message):
        __slots__ = ("family_name", "column_qualifier", "time_range")
        FAMILY_NAME_FIELD_NUMBER: _ClassVar[int]
        COLUMN_QUALIFIER_FIELD_NUMBER: _ClassVar[int]
        TIME_RANGE_FIELD_NUMBER: _ClassVar[int]
        family_name: str
        column_qualifier: bytes
        time_range: TimestampRange
        def __init__(self, family_name: _Optional[str] = ..., column_qualifier: _Optional[bytes] = ..., time_range: _Optional[_Union[TimestampRange, _Mapping]] = ...) -> None: ...
    class DeleteFromRow(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    SET_CELL_FIELD_NUMBER: _ClassVar[int]
    DELETE_FROM_COLUMN_FIELD_NUMBER: _ClassVar[int]
    DELETE_FROM_ROW_FIELD_NUMBER: _ClassVar[int]
    set_cell: Mutation.SetCell
    delete_from_column: Mutation.DeleteFromColumn
    delete_from_row: Mutation.DeleteFromRow
    def __init__(self, set_cell: _Optional[_Union[Mutation.SetCell, _Mapping]] = ..., delete_from_column: _Optional[_Union[Mutation.DeleteFromColumn, _Mapping]] = ..., delete_from_row: _Optional[_Union[Mutation.DeleteFromRow, _Mapping]] = ...) -> None: ...

class TimestampRange(_message.Message):
    __slots__ = ("start_timestamp_micros", "end_timestamp_micros")
    START_TIMESTAMP_MICROS_FIELD_NUMBER: _ClassVar[int]
    END_TIMESTAMP_MICROS_FIELD_NUMBER: _ClassVar[int]
    start_timestamp_micros: int
    end_timestamp_micros: int
    def __init__(self, start_timestamp_micros: _Optional[int] = ..., end_timestamp_micros: _Optional[int] = ...) -> None: ...

class ReadRowsRequest(_message.Message):
    __slots__ = ("table_name", "app_profile_id", "rows", "filter", "rows_limit", "reversed")
    TABLE_NAME_FIELD_NUMBER: _ClassVar[int]
    APP_PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    ROWS_LIMIT_FIELD_NUMBER: _ClassVar[int]
    REVERSED_FIELD_NUMBER: _ClassVar[int]
    table_name: str
    app_profile_id: str
    rows: RowSet
    filter: RowFilter
    rows_limit: int
    reversed: bool
    def __init__(self, table_name: _Optional[str] = ..., app_profile_id: _Optional[str] = ..., rows: _Optional[_Union[RowSet, _Mapping]] = ..., filter: _Optional[_Union[RowFilter, _Mapping]] = ..., rows_limit: _Optional[int] = ..., reversed: _Optional[bool] = ...) -> None: ...

class RowSet(_message.Message):
    __slots__ = ("row_keys", "row_ranges")
    ROW_KEYS_FIELD_NUMBER: _ClassVar[int]
    ROW_RANGES_FIELD_NUMBER: _ClassVar[int]
    row_keys: _containers.RepeatedScalarFieldContainer[bytes]
    row_ranges: _containers.RepeatedCompositeFieldContainer[RowRange]
    def __init__(self, row_keys: _Optional[_Iterable[bytes]] = ..., row_ranges: _Optional[_Iterable[_Union[RowRange, _Mapping]]] = ...) -> None: ...

class RowRange(_message.Message):
    __slots__ = ("start_key_closed", "end_key_open")
    START_KEY_CLOSED_FIELD_NUMBER: _ClassVar[int]
    END_KEY_OPEN_FIELD_NUMBER: _ClassVar[int]
    start_key_closed: bytes
    end_key_open: bytes
    def __init__(self, start_key_closed: _Optional[bytes] = ..., end_key_open: _Optional[bytes] = ...) -> None: ...

class RowFilter(_message.Message):
    __slots__ = ("chain", "family_name_regex_filter", "column_qualifier_regex_filter", "column_range_filter", "timestamp_range_filter", "cells_per_row_limit_filter", "cells_per_column_limit_filter", "strip_value_transformer")
    class Chain(_message.Message):
        __slots__ = ("filters",)
        FILTERS_FIELD_NUMBER: _ClassVar[int]
        filters: _containers.RepeatedCompositeFieldContainer[RowFilter]
        def __init__(self, filters: _Optional[_Iterable[_Union[RowFilter, _Mapping]]] = ...) -> None: ...
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    FAMILY_NAME_REGEX_FILTER_FIELD_NUMBER: _ClassVar[int]
    COLUMN_QUALIFIER_REGEX_FILTER_FIELD_NUMBER: _ClassVar[int]
    COLUMN_RANGE_FILTER_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_RANGE_FILTER_FIELD_NUMBER: _ClassVar[int]
    CELLS_PER_ROW_LIMIT_FILTER_FIELD_NUMBER: _ClassVar[int]
    CELLS_PER_COLUMN_LIMIT_FILTER_FIELD_NUMBER: _ClassVar[int]
    STRIP_VALUE_TRANSFORMER_FIELD_NUMBER: _ClassVar[int]
    chain: RowFilter.Chain
    family_name_regex_filter: str
    column_qualifier_regex_filter: bytes
    column_range_filter: ColumnRange
    timestamp_range_filter: TimestampRange
    cells_per_row_limit_filter: int
    cells_per_column_limit_filter: int
    strip_value_transformer: bool
    def __init__(self, chain: _Optional[_Union[RowFilter.Chain, _Mapping]] = ..., family_name_regex_filter: _Optional[str] = ..., column_qualifier_regex_filter: _Optional[bytes] = ..., column_range_filter: _Optional[_Union[ColumnRange, _Mapping]] = ..., timestamp_range_filter: _Optional[_Union[TimestampRange, _Mapping]] = ..., cells_per_row_limit_filter: _Optional[int] = ..., cells_per_column_limit_filter: _Optional[int] = ..., strip_value_transformer: _Optional[bool] = ...) -> None: ...

class ColumnRange(_message.Message):
    __slots__ = ("family_name", "start_qualifier_closed", "end_qualifier_open")
    FAMILY_NAME_FIELD_NUMBER: _ClassVar[int]
    START_QUALIFIER_CLOSED_FIELD_NUMBER: _ClassVar[int]
    END_QUALIFIER_OPEN_FIELD_NUMBER: _ClassVar[int]
    family_name: str
    start_qualifier_closed: bytes
    end_qualifier_open: bytes
    def __init__(self, family_name: _Optional[str] = ..., start_qualifier_closed: _Optional[bytes] = ..., end_qualifier_open: _Optional[bytes] = ...) -> None: ...

class ReadRowsResponse(_message.Message):
    __slots__ = ("chunks", "last_scanned_row_key")
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    LAST_SCANNED_ROW_KEY_FIELD_NUMBER: _ClassVar[int]
    chunks: _containers.RepeatedCompositeFieldContainer[CellChunk]
    last_scanned_row_key: bytes
    def __init__(self, chunks: _Optional[_Iterable[_Union[CellChunk, _Mapping]]] = ..., last_scanned_row_key: _Optional[bytes] = ...) -> None: ...

class CellChunk(_message.Message):
    __slots__ = ("row_key", "family_name", "qualifier", "timestamp_micros", "labels", "value", "value_size", "reset_row", "commit_row")
    ROW_KEY_FIELD_NUMBER: _ClassVar[int]
    FAMILY_NAME_FIELD_NUMBER: _ClassVar[int]
    QUALIFIER_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_MICROS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VALUE_SIZE_FIELD_NUMBER: _ClassVar[int]
    RESET_ROW_FIELD_NUMBER: _ClassVar[int]
    COMMIT_ROW_FIELD_NUMBER: _ClassVar[int]
    row_key: bytes
    family_name: StringValue
    qualifier: BytesValue
    timestamp_micros: int
    labels: _containers.RepeatedScalarFieldContainer[str]
    value: bytes
    value_size: int
    reset_row: bool
    commit_row: bool
    def __init__(self, row_key: _Optional[bytes] = ..., family_name: _Optional[_Union[StringValue, _Mapping]] = ..., qualifier: _Optional[_Union[BytesValue, _Mapping]] = ..., timestamp_micros: _Optional[int] = ..., labels: _Optional[_Iterable[str]] = ..., value: _Optional[bytes] = ..., value_size: _Optional[int] = ..., reset_row: _Optional[bool] = ..., commit_row: _Optional[bool] = ...) -> None: ...

class StringValue(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: str
    def __init__(self, value: _Optional[str] = ...) -> None: ...

class BytesValue(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: bytes
    def __init__(self, value: _Optional[bytes] = ...) -> None: ...

class FeatureFlags(_message.Message):
    __slots__ = ("reverse_scans",)
    REVERSE_SCANS_FIELD_NUMBER: _ClassVar[int]
    reverse_scans: bool
    def __init__(self, reverse_scans: _Optional[bool] = ...) -> None: ...

class PingAndWarmRequest(_message.Message):
    __slots__ = ("name", "app_profile_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    APP_PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    app_profile_id: str
    def __init__(self, name: _Optional[str] = ..., app_profile_id: _Optional[str] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("chunks", "last_scanned_row_key")
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    LAST_SCANNED_ROW_KEY_FIELD_NUMBER: _ClassVar[int]
    chunks: _containers.RepeatedScalarFieldContainer[bytes]
    last_scanned_row_key: bytes
    def __init__(self, chunks: _Optional[_Iterable[bytes]] = ..., last_scanned_row_key: _Optional[bytes] = ...) -> None: ...

class Columns(_message.Message):
    __slots__ = ("row_key", "family_name", "qualifier", "timestamp_micros", "labels", "value", "value_size", "reset_row", "commit_row")
    ROW_KEY_FIELD_NUMBER: _ClassVar[int]
    FAMILY_NAME_FIELD_NUMBER: _ClassVar[int]
    QUALIFIER_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_MICROS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VALUE_SIZE_FIELD_NUMBER: _ClassVar[int]
    RESET_ROW_FIELD_NUMBER: _ClassVar[int]
    COMMIT_ROW_FIELD_NUMBER: _ClassVar[int]
    row_key: _containers.RepeatedScalarFieldContainer[bytes]
    family_name: _containers.RepeatedScalarFieldContainer[bytes]
    qualifier: _containers.RepeatedScalarFieldContainer[bytes]
    timestamp_micros: _containers.RepeatedScalarFieldContainer[int]
    labels: _containers.RepeatedScalarFieldContainer[str]
    value: _containers.RepeatedScalarFieldContainer[bytes]
    value_size: _containers.RepeatedScalarFieldContainer[int]
    reset_row: _containers.RepeatedScalarFieldContainer[bool]
    commit_row: _containers.RepeatedScalarFieldContainer[bool]
    def __init__(self, row_key: _Optional[_Iterable[bytes]] = ..., family_name: _Optional[_Iterable[bytes]] = ..., qualifier: _Optional[_Iterable[bytes]] = ..., timestamp_micros: _Optional[_Iterable[int]] = ..., labels: _Optional[_Iterable[str]] = ..., value: _Optional[_Iterable[bytes]] = ..., value_size: _Optional[_Iterable[int]] = ..., reset_row: _Optional[_Iterable[bool]] = ..., commit_row: _Optional[_Iterable[bool]] = ...) -> None: ...

class Times(_message.Message):
    __slots__ = ("timestamp_micros",)
    TIMESTAMP_MICROS_FIELD_NUMBER: _ClassVar[int]
    timestamp_micros: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, timestamp_micros: _Optional[_Iterable[int]] = ...) -> None: ...

class Outcome(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, entries: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Outcomes(_message.Message):
    __slots__ = ("index", "status")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    index: _containers.RepeatedScalarFieldContainer[int]
    status: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, index: _Optional[_Iterable[int]] = ..., status: _Optional[_Iterable[bytes]] = ...) -> None: ...
