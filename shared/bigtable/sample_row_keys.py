"""SampleRowKeys: the row keys that divide a table into parts of about the same size."""

from __future__ import annotations

import asyncio

from shared.bigtable import retry
from shared.bigtable.transport import CallError, Transport
from shared.bigtable.wire_format import bytes_field, read_fields

_ROW_KEY = 1  # field of SampleRowKeysResponse


async def sample_row_keys(transport: Transport, table: str, app_profile: str, *, deadline: float) -> list[bytes]:
    """Return the keys in order, without the end of the table. They may be keys of no row.

    Args:
        transport: to the server.
        table: full name of the table.
        app_profile: empty for the instance's default.
        deadline: seconds until the call fails.

    Raises:
        StoreUnavailableError: no response within the deadline.
        StoreRefusedError: no such table, no permission.
    """
    request = bytes_field(1, table.encode()) + bytes_field(2, app_profile.encode())
    loop = asyncio.get_running_loop()
    give_up = loop.time() + deadline
    waits = retry.waits(deadline)
    while True:
        stream = transport.sample_row_keys(request, table, app_profile, deadline)
        try:
            responses = [response async for response in stream]
        except (CallError, ConnectionError) as error:
            wait = next(waits)
            if not retry.is_transient(error) or loop.time() + wait > give_up:
                raise retry.translate(error, f"sampling the row keys of {table.rpartition('/')[2]}") from error
            await asyncio.sleep(wait)
        else:
            fields = [field for response in responses for field in read_fields(response)]
            return [key for number, _, key in fields if number == _ROW_KEY and key]
