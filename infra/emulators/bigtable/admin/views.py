"""Views of a table."""

from __future__ import annotations

from typing import Any

from infra.emulators.bigtable.admin import admin_pb2 as pb
from infra.emulators.bigtable.admin.instances import CLUSTER

_SCHEMA = (pb.Table.SCHEMA_VIEW, pb.Table.FULL)
_CLUSTERS = (pb.Table.REPLICATION_VIEW, pb.Table.ENCRYPTION_VIEW, pb.Table.FULL)


def table_view(message: Any, view: int) -> Any:
    """Return the fields of a table that belong to a view.

    Source: https://cloud.google.com/bigtable/docs/reference/admin/rpc/google.bigtable.admin.v2#view_1
    """
    result = pb.Table(name=message.name)
    if view in _SCHEMA:
        result.MergeFrom(message)
    if view in _CLUSTERS:
        result.cluster_states[CLUSTER].replication_state = pb.Table.ClusterState.READY
    return result
