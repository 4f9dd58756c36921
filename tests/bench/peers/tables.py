"""Tables of the peers, with one row per event as in Google's samples."""

from __future__ import annotations

import grpc
from google.cloud.bigtable_admin_v2 import BigtableTableAdminClient
from google.cloud.bigtable_admin_v2.services.bigtable_table_admin.transports import BigtableTableAdminGrpcTransport
from google.cloud.bigtable_admin_v2.types import ColumnFamily, Table

from shared.config import Settings


def create_table(settings: Settings, table: str) -> None:
    """Create a table with the family `e`."""
    with grpc.insecure_channel(str(settings.bigtable_emulator)) as channel:
        admin = BigtableTableAdminClient(transport=BigtableTableAdminGrpcTransport(channel=channel))
        admin.create_table(
            parent=f"projects/{settings.project_id}/instances/{settings.instance_id}",
            table_id=table,
            table=Table(column_families={"e": ColumnFamily()}),
            timeout=30,
        )
