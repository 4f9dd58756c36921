"""The tables and the contract that the pages read."""

from __future__ import annotations

from msgspec.structs import replace
from starlette.requests import Request

from shared.bigtable.client import Bigtable
from shared.config import Settings
from shared.contracts.loader import parse_contract, parse_toml, read_text
from shared.tables.aggregates import AggregatesTable
from shared.tables.events import EventsTable
from shared.tables.rejected import RejectedTable
from shared.tables.state import StateTable

# Seconds until a page gives up on a server that doesn't answer.
_DEADLINE = 10.0


class Tables:
    """The tables of one pipeline, on one connection that opens with the first read."""

    def __init__(self, settings: Settings) -> None:
        """Prepare the tables without any call.

        Raises:
            ContractError: the contract of the settings is invalid.
        """
        self.settings = settings
        self.contract_text = read_text(settings.contract)
        path = str(settings.contract)
        self.contract = parse_contract(parse_toml(self.contract_text, path), path, settings.mask_key)
        self._bigtable = Bigtable(replace(settings, store_deadline=_DEADLINE))
        self.state = StateTable(self._bigtable)
        self.events = EventsTable(self._bigtable, self.contract.bucket)
        self.rejected = RejectedTable(self._bigtable)
        self.aggregates = AggregatesTable(self._bigtable, self.state)

    async def close(self) -> None:
        """Close the connection."""
        await self._bigtable.close()


def tables_of(request: Request) -> Tables:
    """Return the tables of the console that serves a request."""
    tables: Tables = request.app.state.tables
    return tables
