"""Filters of scans, as protobuf messages. Only what needs a filter imports this module: see `wire_format`."""

from __future__ import annotations

from shared.bigtable.bigtable_pb2 import RowFilter

Filter = RowFilter
