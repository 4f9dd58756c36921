"""The gRPC service google.bigtable.admin.v2.BigtableTableAdmin."""

from __future__ import annotations

import sqlite3
import uuid
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty

from infra.emulators import rpc
from infra.emulators.bigtable.admin import admin_pb2 as pb
from infra.emulators.bigtable.admin.families import check_families, modify_families
from infra.emulators.bigtable.admin.names import (
    check_instance_name,
    check_table_id,
    check_table_name,
    instance_of,
)
from infra.emulators.bigtable.admin.views import table_view
from infra.emulators.bigtable.limits import check_row_key
from infra.emulators.bigtable.storage.cell_table import DELETE_ROWS_BETWEEN, DELETE_ROWS_FROM, DELETE_TABLE
from infra.emulators.bigtable.storage.tables import Table, Tables
from infra.emulators.bigtable.storage.transactions import Statement, transaction
from infra.emulators.errors import ApiError, invalid

_SERVICE = "google.bigtable.admin.v2.BigtableTableAdmin"
_TYPE_URL = "type.googleapis.com/google.bigtable.admin.v2."
_DEFAULT_PAGE = 1000


class TableAdminService:
    """The methods of the service. No method awaits anything, so calls never interleave."""

    def __init__(self, database: sqlite3.Connection, tables: Tables) -> None:
        self._database, self._tables = database, tables

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler for a grpc.aio server."""
        methods = {
            "CreateTable": rpc.unary(pb.CreateTableRequest, self.create_table),
            "GetTable": rpc.unary(pb.GetTableRequest, self.get_table),
            "ListTables": rpc.unary(pb.ListTablesRequest, self.list_tables),
            "UpdateTable": rpc.unary(pb.UpdateTableRequest, self.update_table),
            "DeleteTable": rpc.unary(pb.DeleteTableRequest, self.delete_table),
            "ModifyColumnFamilies": rpc.unary(pb.ModifyColumnFamiliesRequest, self.modify_column_families),
            "DropRowRange": rpc.unary(pb.DropRowRangeRequest, self.drop_row_range),
            "GenerateConsistencyToken": rpc.unary(pb.GenerateConsistencyTokenRequest, self.generate_consistency_token),
            "CheckConsistency": rpc.unary(pb.CheckConsistencyRequest, self.check_consistency),
        }
        return rpc.service(_SERVICE, methods)

    def create_table(self, request: Any) -> Any:
        """Create a table with its column families and splits."""
        parent = check_instance_name(request.parent, "parent")
        splits = sorted({split.key for split in request.initial_splits})
        for key in splits:
            check_row_key(key)
        message = pb.Table(
            name=f"{parent}/tables/{check_table_id(request.table_id)}",
            column_families=request.table.column_families,
            granularity=pb.Table.MILLIS,
            deletion_protection=request.table.deletion_protection,
        )
        check_families(message)
        return table_view(self._tables.create(message, splits).message, pb.Table.SCHEMA_VIEW)

    def get_table(self, request: Any) -> Any:
        """Return a view of a table, by default with its schema."""
        return table_view(self._table(request).message, request.view or pb.Table.SCHEMA_VIEW)

    def list_tables(self, request: Any) -> Any:
        """Return views of the tables of an instance, by default their names; the token of a page is its last name."""
        parent = check_instance_name(request.parent, "parent")
        if request.page_size < 0:
            raise invalid(f"page_size: found {request.page_size}, expected 0 or more")
        size = request.page_size or _DEFAULT_PAGE
        tables = [
            table.message
            for table in self._tables
            if instance_of(table.name) == parent and table.name > request.page_token
        ]
        page = [table_view(message, request.view or pb.Table.NAME_ONLY) for message in tables[:size]]
        return pb.ListTablesResponse(tables=page, next_page_token=page[-1].name if len(tables) > size else "")

    def update_table(self, request: Any) -> Any:
        """Update the deletion protection of a table; returns an operation that is done."""
        table = self._tables.get(check_table_name(request.table.name, "table.name"))
        if list(request.update_mask.paths) != ["deletion_protection"]:
            found = ", ".join(request.update_mask.paths) or "nothing"
            raise ApiError(
                grpc.StatusCode.UNIMPLEMENTED if found != "nothing" else grpc.StatusCode.INVALID_ARGUMENT,
                f"update_mask: found {found}, expected deletion_protection",
            )
        message = pb.Table()
        message.CopyFrom(table.message)
        message.deletion_protection = request.table.deletion_protection
        updated = self._tables.update(table, message).message
        operation = pb.Operation(name=f"operations/{table.name}/operations/{uuid.uuid4().hex}", done=True)
        metadata = pb.UpdateTableMetadata(name=table.name)
        metadata.start_time.GetCurrentTime()
        metadata.end_time.GetCurrentTime()
        operation.metadata.type_url = f"{_TYPE_URL}UpdateTableMetadata"
        operation.metadata.value = metadata.SerializeToString()
        operation.response.type_url = f"{_TYPE_URL}Table"
        operation.response.value = table_view(updated, pb.Table.SCHEMA_VIEW).SerializeToString()
        return operation

    def delete_table(self, request: Any) -> Empty:
        """Delete a table, unless it is protected."""
        table = self._table(request)
        self._require_unprotected(table)
        self._tables.delete(table)
        return Empty()

    def modify_column_families(self, request: Any) -> Any:
        """Create, update and drop column families, in the order of the request; all of them or none."""
        table = self._table(request)
        if not request.modifications:
            raise invalid("modifications: found none, expected 1 or more")
        if any(modification.drop for modification in request.modifications):
            self._require_unprotected(table)
        updated = self._tables.update(table, *modify_families(table, request.modifications))
        return table_view(updated.message, pb.Table.SCHEMA_VIEW)

    def drop_row_range(self, request: Any) -> Empty:
        """Delete the rows with a prefix, or all rows."""
        table = self._table(request)
        if request.delete_all_data_from_table:
            statement: Statement = (DELETE_TABLE, (table.id,))
        elif request.row_key_prefix:
            statement = _delete_prefix(table, request.row_key_prefix)
        else:
            raise invalid("target: found none, expected row_key_prefix or delete_all_data_from_table = true")
        with transaction(self._database):
            self._database.execute(*statement)
        return Empty()

    def generate_consistency_token(self, request: Any) -> Any:
        """Return a token for `CheckConsistency`."""
        return pb.GenerateConsistencyTokenResponse(consistency_token=_token(self._table(request)))

    def check_consistency(self, request: Any) -> Any:
        """Return true: there is one cluster."""
        expected = _token(self._table(request))
        if request.consistency_token != expected:
            raise invalid(f"consistency_token: found {request.consistency_token!r}, expected {expected!r}")
        return pb.CheckConsistencyResponse(consistent=True)

    def _table(self, request: Any) -> Table:
        return self._tables.get(check_table_name(request.name, "name"))

    def _require_unprotected(self, table: Table) -> None:
        if table.message.deletion_protection:
            raise ApiError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"{table.name}: found deletion_protection = true, expected false to delete it or a column family",
            )


def _delete_prefix(table: Table, prefix: bytes) -> Statement:
    """Return the statement that deletes the rows with a prefix."""
    end = _prefix_end(prefix)
    return (DELETE_ROWS_BETWEEN, (table.id, prefix, end)) if end else (DELETE_ROWS_FROM, (table.id, prefix))


def _prefix_end(prefix: bytes) -> bytes:
    """Return the first key after all keys with a prefix; empty if there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else b""


def _token(table: Table) -> str:
    return f"TokenFor-{table.name}"
