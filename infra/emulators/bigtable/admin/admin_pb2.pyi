import datetime

from google.protobuf import any_pb2 as _any_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Table(_message.Message):
    __slots__ = ("name", "cluster_states", "column_families", "granularity", "deletion_protection")
    class TimestampGranularity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TIMESTAMP_GRANULARITY_UNSPECIFIED: _ClassVar[Table.TimestampGranularity]
        MILLIS: _ClassVar[Table.TimestampGranularity]
    TIMESTAMP_GRANULARITY_UNSPECIFIED: Table.TimestampGranularity
    MILLIS: Table.TimestampGranularity
    class View(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        VIEW_UNSPECIFIED: _ClassVar[Table.View]
        NAME_ONLY: _ClassVar[Table.View]
        SCHEMA_VIEW: _ClassVar[Table.View]
        REPLICATION_VIEW: _ClassVar[Table.View]
        FULL: _ClassVar[Table.View]
        ENCRYPTION_VIEW: _ClassVar[Table.View]
    VIEW_UNSPECIFIED: Table.View
    NAME_ONLY: Table.View
    SCHEMA_VIEW: Table.View
    REPLICATION_VIEW: Table.View
    FULL: Table.View
    ENCRYPTION_VIEW: Table.View
    class ClusterState(_message.Message):
        __slots__ = ("replication_state",)
        class ReplicationState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            STATE_NOT_KNOWN: _ClassVar[Table.ClusterState.ReplicationState]
            READY: _ClassVar[Table.ClusterState.ReplicationState]
        STATE_NOT_KNOWN: Table.ClusterState.ReplicationState
        READY: Table.ClusterState.ReplicationState
        REPLICATION_STATE_FIELD_NUMBER: _ClassVar[int]
        replication_state: Table.ClusterState.ReplicationState
        def __init__(self, replication_state: _Optional[_Union[Table.ClusterState.ReplicationState, str]] = ...) -> None: ...
    class ClusterStatesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Table.ClusterState
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Table.ClusterState, _Mapping]] = ...) -> None: ...
    class ColumnFamiliesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: ColumnFamily
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[ColumnFamily, _Mapping]] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_STATES_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FAMILIES_FIELD_NUMBER: _ClassVar[int]
    GRANULARITY_FIELD_NUMBER: _ClassVar[int]
    DELETION_PROTECTION_FIELD_NUMBER: _ClassVar[int]
    name: str
    cluster_states: _containers.MessageMap[str, Table.ClusterState]
    column_families: _containers.MessageMap[str, ColumnFamily]
    granularity: Table.TimestampGranularity
    deletion_protection: bool
    def __init__(self, name: _Optional[str] = ..., cluster_states: _Optional[_Mapping[str, Table.ClusterState]] = ..., column_families: _Optional[_Mapping[str, ColumnFamily]] = ..., granularity: _Optional[_Union[Table.TimestampGranularity, str]] = ..., deletion_protection: bool = ...) -> None: ...

class ColumnFamily(_message.Message):
    __slots__ = ("gc_rule", "value_type")
    GC_RULE_FIELD_NUMBER: _ClassVar[int]
    VALUE_TYPE_FIELD_NUMBER: _ClassVar[int]
    gc_rule: GcRule
    value_type: Type
    def __init__(self, gc_rule: _Optional[_Union[GcRule, _Mapping]] = ..., value_type: _Optional[_Union[Type, _Mapping]] = ...) -> None: ...

class GcRule(_message.Message):
    __slots__ = ("max_num_versions", "max_age", "intersection", "union")
    class Intersection(_message.Message):
        __slots__ = ("rules",)
        RULES_FIELD_NUMBER: _ClassVar[int]
        rules: _containers.RepeatedCompositeFieldContainer[GcRule]
        def __init__(self, rules: _Optional[_Iterable[_Union[GcRule, _Mapping]]] = ...) -> None: ...
    class Union(_message.Message):
        __slots__ = ("rules",)
        RULES_FIELD_NUMBER: _ClassVar[int]
        rules: _containers.RepeatedCompositeFieldContainer[GcRule]
        def __init__(self, rules: _Optional[_Iterable[_Union[GcRule, _Mapping]]] = ...) -> None: ...
    MAX_NUM_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    INTERSECTION_FIELD_NUMBER: _ClassVar[int]
    UNION_FIELD_NUMBER: _ClassVar[int]
    max_num_versions: int
    max_age: _duration_pb2.Duration
    intersection: GcRule.Intersection
    union: GcRule.Union
    def __init__(self, max_num_versions: _Optional[int] = ..., max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., intersection: _Optional[_Union[GcRule.Intersection, _Mapping]] = ..., union: _Optional[_Union[GcRule.Union, _Mapping]] = ...) -> None: ...

class Type(_message.Message):
    __slots__ = ("bytes_type", "string_type", "int64_type", "aggregate_type")
    class Bytes(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    class String(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    class Int64(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    class Aggregate(_message.Message):
        __slots__ = ("input_type", "state_type", "sum", "hllpp_unique_count", "max", "min")
        class Sum(_message.Message):
            __slots__ = ()
            def __init__(self) -> None: ...
        class Max(_message.Message):
            __slots__ = ()
            def __init__(self) -> None: ...
        class Min(_message.Message):
            __slots__ = ()
            def __init__(self) -> None: ...
        class HyperLogLogPlusPlusUniqueCount(_message.Message):
            __slots__ = ()
            def __init__(self) -> None: ...
        INPUT_TYPE_FIELD_NUMBER: _ClassVar[int]
        STATE_TYPE_FIELD_NUMBER: _ClassVar[int]
        SUM_FIELD_NUMBER: _ClassVar[int]
        HLLPP_UNIQUE_COUNT_FIELD_NUMBER: _ClassVar[int]
        MAX_FIELD_NUMBER: _ClassVar[int]
        MIN_FIELD_NUMBER: _ClassVar[int]
        input_type: Type
        state_type: Type
        sum: Type.Aggregate.Sum
        hllpp_unique_count: Type.Aggregate.HyperLogLogPlusPlusUniqueCount
        max: Type.Aggregate.Max
        min: Type.Aggregate.Min
        def __init__(self, input_type: _Optional[_Union[Type, _Mapping]] = ..., state_type: _Optional[_Union[Type, _Mapping]] = ..., sum: _Optional[_Union[Type.Aggregate.Sum, _Mapping]] = ..., hllpp_unique_count: _Optional[_Union[Type.Aggregate.HyperLogLogPlusPlusUniqueCount, _Mapping]] = ..., max: _Optional[_Union[Type.Aggregate.Max, _Mapping]] = ..., min: _Optional[_Union[Type.Aggregate.Min, _Mapping]] = ...) -> None: ...
    BYTES_TYPE_FIELD_NUMBER: _ClassVar[int]
    STRING_TYPE_FIELD_NUMBER: _ClassVar[int]
    INT64_TYPE_FIELD_NUMBER: _ClassVar[int]
    AGGREGATE_TYPE_FIELD_NUMBER: _ClassVar[int]
    bytes_type: Type.Bytes
    string_type: Type.String
    int64_type: Type.Int64
    aggregate_type: Type.Aggregate
    def __init__(self, bytes_type: _Optional[_Union[Type.Bytes, _Mapping]] = ..., string_type: _Optional[_Union[Type.String, _Mapping]] = ..., int64_type: _Optional[_Union[Type.Int64, _Mapping]] = ..., aggregate_type: _Optional[_Union[Type.Aggregate, _Mapping]] = ...) -> None: ...

class CreateTableRequest(_message.Message):
    __slots__ = ("parent", "table_id", "table", "initial_splits")
    class Split(_message.Message):
        __slots__ = ("key",)
        KEY_FIELD_NUMBER: _ClassVar[int]
        key: bytes
        def __init__(self, key: _Optional[bytes] = ...) -> None: ...
    PARENT_FIELD_NUMBER: _ClassVar[int]
    TABLE_ID_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    INITIAL_SPLITS_FIELD_NUMBER: _ClassVar[int]
    parent: str
    table_id: str
    table: Table
    initial_splits: _containers.RepeatedCompositeFieldContainer[CreateTableRequest.Split]
    def __init__(self, parent: _Optional[str] = ..., table_id: _Optional[str] = ..., table: _Optional[_Union[Table, _Mapping]] = ..., initial_splits: _Optional[_Iterable[_Union[CreateTableRequest.Split, _Mapping]]] = ...) -> None: ...

class GetTableRequest(_message.Message):
    __slots__ = ("name", "view")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    name: str
    view: Table.View
    def __init__(self, name: _Optional[str] = ..., view: _Optional[_Union[Table.View, str]] = ...) -> None: ...

class ListTablesRequest(_message.Message):
    __slots__ = ("parent", "view", "page_token", "page_size")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    parent: str
    view: Table.View
    page_token: str
    page_size: int
    def __init__(self, parent: _Optional[str] = ..., view: _Optional[_Union[Table.View, str]] = ..., page_token: _Optional[str] = ..., page_size: _Optional[int] = ...) -> None: ...

class ListTablesResponse(_message.Message):
    __slots__ = ("tables", "next_page_token")
    TABLES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tables: _containers.RepeatedCompositeFieldContainer[Table]
    next_page_token: str
    def __init__(self, tables: _Optional[_Iterable[_Union[Table, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateTableRequest(_message.Message):
    __slots__ = ("table", "update_mask")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    table: Table
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, table: _Optional[_Union[Table, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class UpdateTableMetadata(_message.Message):
    __slots__ = ("name", "start_time", "end_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Operation(_message.Message):
    __slots__ = ("name", "metadata", "done", "response")
    NAME_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    name: str
    metadata: _any_pb2.Any
    done: bool
    response: _any_pb2.Any
    def __init__(self, name: _Optional[str] = ..., metadata: _Optional[_Union[_any_pb2.Any, _Mapping]] = ..., done: bool = ..., response: _Optional[_Union[_any_pb2.Any, _Mapping]] = ...) -> None: ...

class DeleteTableRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ModifyColumnFamiliesRequest(_message.Message):
    __slots__ = ("name", "modifications")
    class Modification(_message.Message):
        __slots__ = ("id", "create", "update", "drop", "update_mask")
        ID_FIELD_NUMBER: _ClassVar[int]
        CREATE_FIELD_NUMBER: _ClassVar[int]
        UPDATE_FIELD_NUMBER: _ClassVar[int]
        DROP_FIELD_NUMBER: _ClassVar[int]
        UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
        id: str
        create: ColumnFamily
        update: ColumnFamily
        drop: bool
        update_mask: _field_mask_pb2.FieldMask
        def __init__(self, id: _Optional[str] = ..., create: _Optional[_Union[ColumnFamily, _Mapping]] = ..., update: _Optional[_Union[ColumnFamily, _Mapping]] = ..., drop: bool = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODIFICATIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    modifications: _containers.RepeatedCompositeFieldContainer[ModifyColumnFamiliesRequest.Modification]
    def __init__(self, name: _Optional[str] = ..., modifications: _Optional[_Iterable[_Union[ModifyColumnFamiliesRequest.Modification, _Mapping]]] = ...) -> None: ...

class DropRowRangeRequest(_message.Message):
    __slots__ = ("name", "row_key_prefix", "delete_all_data_from_table")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROW_KEY_PREFIX_FIELD_NUMBER: _ClassVar[int]
    DELETE_ALL_DATA_FROM_TABLE_FIELD_NUMBER: _ClassVar[int]
    name: str
    row_key_prefix: bytes
    delete_all_data_from_table: bool
    def __init__(self, name: _Optional[str] = ..., row_key_prefix: _Optional[bytes] = ..., delete_all_data_from_table: bool = ...) -> None: ...

class GenerateConsistencyTokenRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GenerateConsistencyTokenResponse(_message.Message):
    __slots__ = ("consistency_token",)
    CONSISTENCY_TOKEN_FIELD_NUMBER: _ClassVar[int]
    consistency_token: str
    def __init__(self, consistency_token: _Optional[str] = ...) -> None: ...

class CheckConsistencyRequest(_message.Message):
    __slots__ = ("name", "consistency_token")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_TOKEN_FIELD_NUMBER: _ClassVar[int]
    name: str
    consistency_token: str
    def __init__(self, name: _Optional[str] = ..., consistency_token: _Optional[str] = ...) -> None: ...

class CheckConsistencyResponse(_message.Message):
    __slots__ = ("consistent",)
    CONSISTENT_FIELD_NUMBER: _ClassVar[int]
    consistent: bool
    def __init__(self, consistent: bool = ...) -> None: ...

class Instance(_message.Message):
    __slots__ = ("name", "display_name", "state", "type")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_NOT_KNOWN: _ClassVar[Instance.State]
        READY: _ClassVar[Instance.State]
    STATE_NOT_KNOWN: Instance.State
    READY: Instance.State
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TYPE_UNSPECIFIED: _ClassVar[Instance.Type]
        PRODUCTION: _ClassVar[Instance.Type]
    TYPE_UNSPECIFIED: Instance.Type
    PRODUCTION: Instance.Type
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    display_name: str
    state: Instance.State
    type: Instance.Type
    def __init__(self, name: _Optional[str] = ..., display_name: _Optional[str] = ..., state: _Optional[_Union[Instance.State, str]] = ..., type: _Optional[_Union[Instance.Type, str]] = ...) -> None: ...

class Cluster(_message.Message):
    __slots__ = ("name", "location", "state", "serve_nodes")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_NOT_KNOWN: _ClassVar[Cluster.State]
        READY: _ClassVar[Cluster.State]
    STATE_NOT_KNOWN: Cluster.State
    READY: Cluster.State
    NAME_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SERVE_NODES_FIELD_NUMBER: _ClassVar[int]
    name: str
    location: str
    state: Cluster.State
    serve_nodes: int
    def __init__(self, name: _Optional[str] = ..., location: _Optional[str] = ..., state: _Optional[_Union[Cluster.State, str]] = ..., serve_nodes: _Optional[int] = ...) -> None: ...

class AppProfile(_message.Message):
    __slots__ = ("name", "description", "single_cluster_routing")
    class SingleClusterRouting(_message.Message):
        __slots__ = ("cluster_id", "allow_transactional_writes")
        CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
        ALLOW_TRANSACTIONAL_WRITES_FIELD_NUMBER: _ClassVar[int]
        cluster_id: str
        allow_transactional_writes: bool
        def __init__(self, cluster_id: _Optional[str] = ..., allow_transactional_writes: bool = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    SINGLE_CLUSTER_ROUTING_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    single_cluster_routing: AppProfile.SingleClusterRouting
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., single_cluster_routing: _Optional[_Union[AppProfile.SingleClusterRouting, _Mapping]] = ...) -> None: ...

class GetInstanceRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListInstancesRequest(_message.Message):
    __slots__ = ("parent",)
    PARENT_FIELD_NUMBER: _ClassVar[int]
    parent: str
    def __init__(self, parent: _Optional[str] = ...) -> None: ...

class ListInstancesResponse(_message.Message):
    __slots__ = ("instances",)
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    instances: _containers.RepeatedCompositeFieldContainer[Instance]
    def __init__(self, instances: _Optional[_Iterable[_Union[Instance, _Mapping]]] = ...) -> None: ...

class GetClusterRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListClustersRequest(_message.Message):
    __slots__ = ("parent",)
    PARENT_FIELD_NUMBER: _ClassVar[int]
    parent: str
    def __init__(self, parent: _Optional[str] = ...) -> None: ...

class ListClustersResponse(_message.Message):
    __slots__ = ("clusters",)
    CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    clusters: _containers.RepeatedCompositeFieldContainer[Cluster]
    def __init__(self, clusters: _Optional[_Iterable[_Union[Cluster, _Mapping]]] = ...) -> None: ...

class GetAppProfileRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListAppProfilesRequest(_message.Message):
    __slots__ = ("parent",)
    PARENT_FIELD_NUMBER: _ClassVar[int]
    parent: str
    def __init__(self, parent: _Optional[str] = ...) -> None: ...

class ListAppProfilesResponse(_message.Message):
    __slots__ = ("app_profiles",)
    APP_PROFILES_FIELD_NUMBER: _ClassVar[int]
    app_profiles: _containers.RepeatedCompositeFieldContainer[AppProfile]
    def __init__(self, app_profiles: _Optional[_Iterable[_Union[AppProfile, _Mapping]]] = ...) -> None: ...
