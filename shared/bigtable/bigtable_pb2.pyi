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
    __slots__ = ("set_cell", "delete_from_column", "delete_from_family", "delete_from_row", "add_to_cell", "merge_to_cell")
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
    class DeleteFromFamily(_message.Message):
        __slots__ = ("family_name",)
        FAMILY_NAME_FIELD_NUMBER: _ClassVar[int]
        family_name: str
        def __init__(self, family_name: _Optional[str] = ...) -> None: ...
    class DeleteFromRow(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    class AddToCell(_message.Message):
        __slots__ = ("family_name", "column_qualifier", "timestamp", "input")
        FAMILY_NAME_FIELD_NUMBER: _ClassVar[int]
        COLUMN_QUALIFIER_FIELD_NUMBER: _ClassVar[int]
        TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
        INPUT_FIELD_NUMBER: _ClassVar[int]
        family_name: str
        column_qualifier: Value
        timestamp: Value
        input: Value
        def __init__(self, family_name: _Optional[str] = ..., column_qualifier: _Optional[_Union[Value, _Mapping]] = ..., timestamp: _Optional[_Union[Value, _Mapping]] = ..., input: _Optional[_Union[Value, _Mapping]] = ...) -> None: ...
    class MergeToCell(_message.Message):
        __slots__ = ("family_name", "column_qualifier", "timestamp", "input")
        FAMILY_NAME_FIELD_NUMBER: _ClassVar[int]
        COLUMN_QUALIFIER_FIELD_NUMBER: _ClassVar[int]
        TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
        INPUT_FIELD_NUMBER: _ClassVar[int]
        family_name: str
        column_qualifier: Value
        timestamp: Value
        input: Value
        def __init__(self, family_name: _Optional[str] = ..., column_qualifier: _Optional[_Union[Value, _Mapping]] = ..., timestamp: _Optional[_Union[Value, _Mapping]] = ..., input: _Optional[_Union[Value, _Mapping]] = ...) -> None: ...
    SET_CELL_FIELD_NUMBER: _ClassVar[int]
    DELETE_FROM_COLUMN_FIELD_NUMBER: _ClassVar[int]
    DELETE_FROM_FAMILY_FIELD_NUMBER: _ClassVar[int]
    DELETE_FROM_ROW_FIELD_NUMBER: _ClassVar[int]
    ADD_TO_CELL_FIELD_NUMBER: _ClassVar[int]
    MERGE_TO_CELL_FIELD_NUMBER: _ClassVar[int]
    set_cell: Mutation.SetCell
    delete_from_column: Mutation.DeleteFromColumn
    delete_from_family: Mutation.DeleteFromFamily
    delete_from_row: Mutation.DeleteFromRow
    add_to_cell: Mutation.AddToCell
    merge_to_cell: Mutation.MergeToCell
    def __init__(self, set_cell: _Optional[_Union[Mutation.SetCell, _Mapping]] = ..., delete_from_column: _Optional[_Union[Mutation.DeleteFromColumn, _Mapping]] = ..., delete_from_family: _Optional[_Union[Mutation.DeleteFromFamily, _Mapping]] = ..., delete_from_row: _Optional[_Union[Mutation.DeleteFromRow, _Mapping]] = ..., add_to_cell: _Optional[_Union[Mutation.AddToCell, _Mapping]] = ..., merge_to_cell: _Optional[_Union[Mutation.MergeToCell, _Mapping]] = ...) -> None: ...

class Value(_message.Message):
    __slots__ = ("bytes_value", "int_value", "raw_value", "raw_timestamp_micros")
    BYTES_VALUE_FIELD_NUMBER: _ClassVar[int]
    INT_VALUE_FIELD_NUMBER: _ClassVar[int]
    RAW_VALUE_FIELD_NUMBER: _ClassVar[int]
    RAW_TIMESTAMP_MICROS_FIELD_NUMBER: _ClassVar[int]
    bytes_value: bytes
    int_value: int
    raw_value: bytes
    raw_timestamp_micros: int
    def __init__(self, bytes_value: _Optional[bytes] = ..., int_value: _Optional[int] = ..., raw_value: _Optional[bytes] = ..., raw_timestamp_micros: _Optional[int] = ...) -> None: ...

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
    def __init__(self, table_name: _Optional[str] = ..., app_profile_id: _Optional[str] = ..., rows: _Optional[_Union[RowSet, _Mapping]] = ..., filter: _Optional[_Union[RowFilter, _Mapping]] = ..., rows_limit: _Optional[int] = ..., reversed: bool = ...) -> None: ...

class RowSet(_message.Message):
    __slots__ = ("row_keys", "row_ranges")
    ROW_KEYS_FIELD_NUMBER: _ClassVar[int]
    ROW_RANGES_FIELD_NUMBER: _ClassVar[int]
    row_keys: _containers.RepeatedScalarFieldContainer[bytes]
    row_ranges: _containers.RepeatedCompositeFieldContainer[RowRange]
    def __init__(self, row_keys: _Optional[_Iterable[bytes]] = ..., row_ranges: _Optional[_Iterable[_Union[RowRange, _Mapping]]] = ...) -> None: ...

class RowRange(_message.Message):
    __slots__ = ("start_key_closed", "start_key_open", "end_key_open", "end_key_closed")
    START_KEY_CLOSED_FIELD_NUMBER: _ClassVar[int]
    START_KEY_OPEN_FIELD_NUMBER: _ClassVar[int]
    END_KEY_OPEN_FIELD_NUMBER: _ClassVar[int]
    END_KEY_CLOSED_FIELD_NUMBER: _ClassVar[int]
    start_key_closed: bytes
    start_key_open: bytes
    end_key_open: bytes
    end_key_closed: bytes
    def __init__(self, start_key_closed: _Optional[bytes] = ..., start_key_open: _Optional[bytes] = ..., end_key_open: _Optional[bytes] = ..., end_key_closed: _Optional[bytes] = ...) -> None: ...

class RowFilter(_message.Message):
    __slots__ = ("chain", "interleave", "condition", "row_key_regex_filter", "family_name_regex_filter", "column_qualifier_regex_filter", "column_range_filter", "timestamp_range_filter", "value_regex_filter", "cells_per_row_offset_filter", "cells_per_row_limit_filter", "cells_per_column_limit_filter", "strip_value_transformer", "row_sample_filter", "value_range_filter", "sink", "pass_all_filter", "block_all_filter", "apply_label_transformer", "value_bitmask_filter")
    class Chain(_message.Message):
        __slots__ = ("filters",)
        FILTERS_FIELD_NUMBER: _ClassVar[int]
        filters: _containers.RepeatedCompositeFieldContainer[RowFilter]
        def __init__(self, filters: _Optional[_Iterable[_Union[RowFilter, _Mapping]]] = ...) -> None: ...
    class Interleave(_message.Message):
        __slots__ = ("filters",)
        FILTERS_FIELD_NUMBER: _ClassVar[int]
        filters: _containers.RepeatedCompositeFieldContainer[RowFilter]
        def __init__(self, filters: _Optional[_Iterable[_Union[RowFilter, _Mapping]]] = ...) -> None: ...
    class Condition(_message.Message):
        __slots__ = ("predicate_filter", "true_filter", "false_filter")
        PREDICATE_FILTER_FIELD_NUMBER: _ClassVar[int]
        TRUE_FILTER_FIELD_NUMBER: _ClassVar[int]
        FALSE_FILTER_FIELD_NUMBER: _ClassVar[int]
        predicate_filter: RowFilter
        true_filter: RowFilter
        false_filter: RowFilter
        def __init__(self, predicate_filter: _Optional[_Union[RowFilter, _Mapping]] = ..., true_filter: _Optional[_Union[RowFilter, _Mapping]] = ..., false_filter: _Optional[_Union[RowFilter, _Mapping]] = ...) -> None: ...
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    INTERLEAVE_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    ROW_KEY_REGEX_FILTER_FIELD_NUMBER: _ClassVar[int]
    FAMILY_NAME_REGEX_FILTER_FIELD_NUMBER: _ClassVar[int]
    COLUMN_QUALIFIER_REGEX_FILTER_FIELD_NUMBER: _ClassVar[int]
    COLUMN_RANGE_FILTER_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_RANGE_FILTER_FIELD_NUMBER: _ClassVar[int]
    VALUE_REGEX_FILTER_FIELD_NUMBER: _ClassVar[int]
    CELLS_PER_ROW_OFFSET_FILTER_FIELD_NUMBER: _ClassVar[int]
    CELLS_PER_ROW_LIMIT_FILTER_FIELD_NUMBER: _ClassVar[int]
    CELLS_PER_COLUMN_LIMIT_FILTER_FIELD_NUMBER: _ClassVar[int]
    STRIP_VALUE_TRANSFORMER_FIELD_NUMBER: _ClassVar[int]
    ROW_SAMPLE_FILTER_FIELD_NUMBER: _ClassVar[int]
    VALUE_RANGE_FILTER_FIELD_NUMBER: _ClassVar[int]
    SINK_FIELD_NUMBER: _ClassVar[int]
    PASS_ALL_FILTER_FIELD_NUMBER: _ClassVar[int]
    BLOCK_ALL_FILTER_FIELD_NUMBER: _ClassVar[int]
    APPLY_LABEL_TRANSFORMER_FIELD_NUMBER: _ClassVar[int]
    VALUE_BITMASK_FILTER_FIELD_NUMBER: _ClassVar[int]
    chain: RowFilter.Chain
    interleave: RowFilter.Interleave
    condition: RowFilter.Condition
    row_key_regex_filter: bytes
    family_name_regex_filter: str
    column_qualifier_regex_filter: bytes
    column_range_filter: ColumnRange
    timestamp_range_filter: TimestampRange
    value_regex_filter: bytes
    cells_per_row_offset_filter: int
    cells_per_row_limit_filter: int
    cells_per_column_limit_filter: int
    strip_value_transformer: bool
    row_sample_filter: float
    value_range_filter: ValueRange
    sink: bool
    pass_all_filter: bool
    block_all_filter: bool
    apply_label_transformer: str
    value_bitmask_filter: ValueBitmask
    def __init__(self, chain: _Optional[_Union[RowFilter.Chain, _Mapping]] = ..., interleave: _Optional[_Union[RowFilter.Interleave, _Mapping]] = ..., condition: _Optional[_Union[RowFilter.Condition, _Mapping]] = ..., row_key_regex_filter: _Optional[bytes] = ..., family_name_regex_filter: _Optional[str] = ..., column_qualifier_regex_filter: _Optional[bytes] = ..., column_range_filter: _Optional[_Union[ColumnRange, _Mapping]] = ..., timestamp_range_filter: _Optional[_Union[TimestampRange, _Mapping]] = ..., value_regex_filter: _Optional[bytes] = ..., cells_per_row_offset_filter: _Optional[int] = ..., cells_per_row_limit_filter: _Optional[int] = ..., cells_per_column_limit_filter: _Optional[int] = ..., strip_value_transformer: bool = ..., row_sample_filter: _Optional[float] = ..., value_range_filter: _Optional[_Union[ValueRange, _Mapping]] = ..., sink: bool = ..., pass_all_filter: bool = ..., block_all_filter: bool = ..., apply_label_transformer: _Optional[str] = ..., value_bitmask_filter: _Optional[_Union[ValueBitmask, _Mapping]] = ...) -> None: ...

class ValueRange(_message.Message):
    __slots__ = ("start_value_closed", "start_value_open", "end_value_closed", "end_value_open")
    START_VALUE_CLOSED_FIELD_NUMBER: _ClassVar[int]
    START_VALUE_OPEN_FIELD_NUMBER: _ClassVar[int]
    END_VALUE_CLOSED_FIELD_NUMBER: _ClassVar[int]
    END_VALUE_OPEN_FIELD_NUMBER: _ClassVar[int]
    start_value_closed: bytes
    start_value_open: bytes
    end_value_closed: bytes
    end_value_open: bytes
    def __init__(self, start_value_closed: _Optional[bytes] = ..., start_value_open: _Optional[bytes] = ..., end_value_closed: _Optional[bytes] = ..., end_value_open: _Optional[bytes] = ...) -> None: ...

class ValueBitmask(_message.Message):
    __slots__ = ("mask",)
    MASK_FIELD_NUMBER: _ClassVar[int]
    mask: bytes
    def __init__(self, mask: _Optional[bytes] = ...) -> None: ...

class ColumnRange(_message.Message):
    __slots__ = ("family_name", "start_qualifier_closed", "start_qualifier_open", "end_qualifier_closed", "end_qualifier_open")
    FAMILY_NAME_FIELD_NUMBER: _ClassVar[int]
    START_QUALIFIER_CLOSED_FIELD_NUMBER: _ClassVar[int]
    START_QUALIFIER_OPEN_FIELD_NUMBER: _ClassVar[int]
    END_QUALIFIER_CLOSED_FIELD_NUMBER: _ClassVar[int]
    END_QUALIFIER_OPEN_FIELD_NUMBER: _ClassVar[int]
    family_name: str
    start_qualifier_closed: bytes
    start_qualifier_open: bytes
    end_qualifier_closed: bytes
    end_qualifier_open: bytes
    def __init__(self, family_name: _Optional[str] = ..., start_qualifier_closed: _Optional[bytes] = ..., start_qualifier_open: _Optional[bytes] = ..., end_qualifier_closed: _Optional[bytes] = ..., end_qualifier_open: _Optional[bytes] = ...) -> None: ...

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
    def __init__(self, row_key: _Optional[bytes] = ..., family_name: _Optional[_Union[StringValue, _Mapping]] = ..., qualifier: _Optional[_Union[BytesValue, _Mapping]] = ..., timestamp_micros: _Optional[int] = ..., labels: _Optional[_Iterable[str]] = ..., value: _Optional[bytes] = ..., value_size: _Optional[int] = ..., reset_row: bool = ..., commit_row: bool = ...) -> None: ...

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

class PingAndWarmRequest(_message.Message):
    __slots__ = ("name", "app_profile_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    APP_PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    app_profile_id: str
    def __init__(self, name: _Optional[str] = ..., app_profile_id: _Optional[str] = ...) -> None: ...

class PingAndWarmResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SampleRowKeysRequest(_message.Message):
    __slots__ = ("table_name", "app_profile_id", "row_range")
    TABLE_NAME_FIELD_NUMBER: _ClassVar[int]
    APP_PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    ROW_RANGE_FIELD_NUMBER: _ClassVar[int]
    table_name: str
    app_profile_id: str
    row_range: RowRange
    def __init__(self, table_name: _Optional[str] = ..., app_profile_id: _Optional[str] = ..., row_range: _Optional[_Union[RowRange, _Mapping]] = ...) -> None: ...

class SampleRowKeysResponse(_message.Message):
    __slots__ = ("row_key", "offset_bytes")
    ROW_KEY_FIELD_NUMBER: _ClassVar[int]
    OFFSET_BYTES_FIELD_NUMBER: _ClassVar[int]
    row_key: bytes
    offset_bytes: int
    def __init__(self, row_key: _Optional[bytes] = ..., offset_bytes: _Optional[int] = ...) -> None: ...

class MutateRowRequest(_message.Message):
    __slots__ = ("table_name", "row_key", "mutations", "app_profile_id")
    TABLE_NAME_FIELD_NUMBER: _ClassVar[int]
    ROW_KEY_FIELD_NUMBER: _ClassVar[int]
    MUTATIONS_FIELD_NUMBER: _ClassVar[int]
    APP_PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    table_name: str
    row_key: bytes
    mutations: _containers.RepeatedCompositeFieldContainer[Mutation]
    app_profile_id: str
    def __init__(self, table_name: _Optional[str] = ..., row_key: _Optional[bytes] = ..., mutations: _Optional[_Iterable[_Union[Mutation, _Mapping]]] = ..., app_profile_id: _Optional[str] = ...) -> None: ...

class MutateRowResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CheckAndMutateRowRequest(_message.Message):
    __slots__ = ("table_name", "row_key", "true_mutations", "false_mutations", "predicate_filter", "app_profile_id")
    TABLE_NAME_FIELD_NUMBER: _ClassVar[int]
    ROW_KEY_FIELD_NUMBER: _ClassVar[int]
    TRUE_MUTATIONS_FIELD_NUMBER: _ClassVar[int]
    FALSE_MUTATIONS_FIELD_NUMBER: _ClassVar[int]
    PREDICATE_FILTER_FIELD_NUMBER: _ClassVar[int]
    APP_PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    table_name: str
    row_key: bytes
    true_mutations: _containers.RepeatedCompositeFieldContainer[Mutation]
    false_mutations: _containers.RepeatedCompositeFieldContainer[Mutation]
    predicate_filter: RowFilter
    app_profile_id: str
    def __init__(self, table_name: _Optional[str] = ..., row_key: _Optional[bytes] = ..., true_mutations: _Optional[_Iterable[_Union[Mutation, _Mapping]]] = ..., false_mutations: _Optional[_Iterable[_Union[Mutation, _Mapping]]] = ..., predicate_filter: _Optional[_Union[RowFilter, _Mapping]] = ..., app_profile_id: _Optional[str] = ...) -> None: ...

class CheckAndMutateRowResponse(_message.Message):
    __slots__ = ("predicate_matched",)
    PREDICATE_MATCHED_FIELD_NUMBER: _ClassVar[int]
    predicate_matched: bool
    def __init__(self, predicate_matched: bool = ...) -> None: ...

class ReadModifyWriteRowRequest(_message.Message):
    __slots__ = ("table_name", "row_key", "rules", "app_profile_id")
    TABLE_NAME_FIELD_NUMBER: _ClassVar[int]
    ROW_KEY_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    APP_PROFILE_ID_FIELD_NUMBER: _ClassVar[int]
    table_name: str
    row_key: bytes
    rules: _containers.RepeatedCompositeFieldContainer[ReadModifyWriteRule]
    app_profile_id: str
    def __init__(self, table_name: _Optional[str] = ..., row_key: _Optional[bytes] = ..., rules: _Optional[_Iterable[_Union[ReadModifyWriteRule, _Mapping]]] = ..., app_profile_id: _Optional[str] = ...) -> None: ...

class ReadModifyWriteRule(_message.Message):
    __slots__ = ("family_name", "column_qualifier", "append_value", "increment_amount")
    FAMILY_NAME_FIELD_NUMBER: _ClassVar[int]
    COLUMN_QUALIFIER_FIELD_NUMBER: _ClassVar[int]
    APPEND_VALUE_FIELD_NUMBER: _ClassVar[int]
    INCREMENT_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    family_name: str
    column_qualifier: bytes
    append_value: bytes
    increment_amount: int
    def __init__(self, family_name: _Optional[str] = ..., column_qualifier: _Optional[bytes] = ..., append_value: _Optional[bytes] = ..., increment_amount: _Optional[int] = ...) -> None: ...

class ReadModifyWriteRowResponse(_message.Message):
    __slots__ = ("row",)
    ROW_FIELD_NUMBER: _ClassVar[int]
    row: Row
    def __init__(self, row: _Optional[_Union[Row, _Mapping]] = ...) -> None: ...

class Row(_message.Message):
    __slots__ = ("key", "families")
    KEY_FIELD_NUMBER: _ClassVar[int]
    FAMILIES_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    families: _containers.RepeatedCompositeFieldContainer[Family]
    def __init__(self, key: _Optional[bytes] = ..., families: _Optional[_Iterable[_Union[Family, _Mapping]]] = ...) -> None: ...

class Family(_message.Message):
    __slots__ = ("name", "columns")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    name: str
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    def __init__(self, name: _Optional[str] = ..., columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ...) -> None: ...

class Column(_message.Message):
    __slots__ = ("qualifier", "cells")
    QUALIFIER_FIELD_NUMBER: _ClassVar[int]
    CELLS_FIELD_NUMBER: _ClassVar[int]
    qualifier: bytes
    cells: _containers.RepeatedCompositeFieldContainer[Cell]
    def __init__(self, qualifier: _Optional[bytes] = ..., cells: _Optional[_Iterable[_Union[Cell, _Mapping]]] = ...) -> None: ...

class Cell(_message.Message):
    __slots__ = ("timestamp_micros", "value", "labels")
    TIMESTAMP_MICROS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    timestamp_micros: int
    value: bytes
    labels: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, timestamp_micros: _Optional[int] = ..., value: _Optional[bytes] = ..., labels: _Optional[_Iterable[str]] = ...) -> None: ...

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
