"""The gRPC service google.bigtable.v2.Bigtable."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from typing import Any

import grpc

from infra.emulators import rpc
from infra.emulators.bigtable.admin.names import check_table_name
from infra.emulators.bigtable.data.mutations import translate_mutations
from infra.emulators.bigtable.data.read_rows import read_rows
from infra.emulators.bigtable.data.row_calls import check_and_mutate, read_modify_write
from infra.emulators.bigtable.data.sample_row_keys import sample_row_keys
from infra.emulators.bigtable.limits import check_mutation_count
from infra.emulators.bigtable.storage.tables import Table, Tables
from infra.emulators.bigtable.storage.transactions import Statement, execute, transaction
from infra.emulators.errors import ApiError, invalid
from shared.bigtable import bigtable_pb2 as pb

_SERVICE = "google.bigtable.v2.Bigtable"
# Mutations of MutateRows that are applied together: some 20 ms.
_SLICE_MUTATIONS = 2_000


class DataService:
    """The methods of the service. The write of a row awaits nothing, so it is atomic."""

    def __init__(self, database: sqlite3.Connection, tables: Tables) -> None:
        self._database, self._tables = database, tables

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler for a grpc.aio server."""
        methods = {
            "ReadRows": rpc.server_stream(pb.ReadRowsRequest, self.read_rows),
            "SampleRowKeys": rpc.server_stream(pb.SampleRowKeysRequest, self.sample_row_keys),
            "MutateRow": rpc.unary(pb.MutateRowRequest, self.mutate_row),
            "MutateRows": rpc.server_stream(pb.MutateRowsRequest, self.mutate_rows),
            "CheckAndMutateRow": rpc.unary(pb.CheckAndMutateRowRequest, self.check_and_mutate_row),
            "ReadModifyWriteRow": rpc.unary(pb.ReadModifyWriteRowRequest, self.read_modify_write_row),
            "PingAndWarm": rpc.unary(pb.PingAndWarmRequest, self.ping_and_warm),
        }
        return rpc.service(_SERVICE, methods)

    def read_rows(self, request: Any) -> AsyncIterator[bytes]:
        """Return the rows of a request."""
        return read_rows(self._database, self._table(request), request)

    def sample_row_keys(self, request: Any) -> AsyncIterator[Any]:
        """Return row keys that divide the table into parts of about the same size."""
        return sample_row_keys(self._database, self._table(request))

    def mutate_row(self, request: Any) -> Any:
        """Apply the mutations of a row."""
        table = self._table(request)
        check_mutation_count(len(request.mutations))
        statements = translate_mutations(table, request.row_key, request.mutations)
        self._execute(statements)
        return pb.MutateRowResponse()

    async def mutate_rows(self, request: Any) -> AsyncIterator[bytes]:
        """Apply the mutations of several rows; an entry that breaks a rule fails alone.

        Other calls run between slices of the entries, so that a large request doesn't delay them.
        """
        if not request.entries:
            raise invalid("entries: found none, expected 1 or more")
        check_mutation_count(sum([len(entry.mutations) for entry in request.entries]))
        errors: dict[int, ApiError] = {}
        statements: list[Statement] = []
        table = self._table(request)
        for index, entry in enumerate(request.entries):
            try:
                statements += translate_mutations(table, entry.row_key, entry.mutations)
            except ApiError as error:
                errors[index] = error
            if len(statements) >= _SLICE_MUTATIONS:
                self._execute(statements)
                statements = []
                await asyncio.sleep(0)
                table = self._table(request)
        self._execute(statements)
        yield _mutate_rows_response(len(request.entries), errors)

    def _execute(self, statements: list[Statement]) -> None:
        with transaction(self._database):
            execute(self._database, statements)

    def check_and_mutate_row(self, request: Any) -> Any:
        """Apply one of two lists of mutations, depending on whether a filter passes a cell of the row."""
        matched = check_and_mutate(self._database, self._table(request), request)
        return pb.CheckAndMutateRowResponse(predicate_matched=matched)

    def read_modify_write_row(self, request: Any) -> Any:
        """Append to cells or increment them."""
        row = read_modify_write(self._database, self._table(request), request)
        return pb.ReadModifyWriteRowResponse(row=row)

    def ping_and_warm(self, _request: Any) -> Any:
        """Return an empty response; a client sends this to open its connection."""
        return pb.PingAndWarmResponse()

    def _table(self, request: Any) -> Table:
        return self._tables.get(check_table_name(request.table_name, "table_name"))


def _mutate_rows_response(entries: int, errors: Mapping[int, ApiError]) -> bytes:
    """Return the serialized `MutateRowsResponse` of a number of entries, some of them with errors."""
    if not errors:
        return _success(entries)
    response = pb.MutateRowsResponse()
    for index in range(entries):
        error = errors.get(index)
        status = pb.Status(code=error.code.value[0], message=error.text) if error else pb.Status()
        response.entries.add(index=index, status=status)
    return bytes(response.SerializeToString())


@lru_cache(maxsize=64)
def _success(entries: int) -> bytes:
    status = pb.Status()
    response = pb.MutateRowsResponse(entries=[{"index": index, "status": status} for index in range(entries)])
    return bytes(response.SerializeToString())
