"""The tables of Pub/Sub in SQLite, and their writes: one transaction per turn of the event loop."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import grpc

from infra.emulators.errors import ApiError

_log = logging.getLogger(__name__)

# A subscription holds every message of its topic from `start` on, except the acknowledged ones. A message without a
# row in pubsub_deliveries is unacknowledged and has no failed delivery.
_TABLES = """
CREATE TABLE IF NOT EXISTS pubsub_topics (id INTEGER PRIMARY KEY, config BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS pubsub_subscriptions (
  id INTEGER PRIMARY KEY, topic INTEGER NOT NULL, start INTEGER NOT NULL, config BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS pubsub_snapshots (
  id INTEGER PRIMARY KEY, topic INTEGER NOT NULL, last INTEGER NOT NULL, config BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS pubsub_snapshot_messages (
  snapshot INTEGER, message INTEGER, PRIMARY KEY (snapshot, message)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pubsub_messages (
  id INTEGER PRIMARY KEY, topic INTEGER NOT NULL, published INTEGER NOT NULL, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS pubsub_deliveries (
  message INTEGER, subscription INTEGER, failures INTEGER NOT NULL, acknowledged INTEGER NOT NULL,
  PRIMARY KEY (message, subscription)) WITHOUT ROWID;
"""


class Journal:
    """Collects writes and commits them together."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._writes: list[tuple[str, tuple[Any, ...]]] = []
        self._committed: asyncio.Future[None] | None = None
        database.executescript(_TABLES)

    def write(self, statement: str, *parameters: Any) -> None:
        """Add a statement to the transaction at the end of this turn of the event loop."""
        if not self._writes:
            asyncio.get_running_loop().call_soon(self.flush)
        self._writes.append((statement, parameters))

    async def committed(self) -> None:
        """Wait until all writes so far are committed.

        Raises:
            ApiError: none of this turn is, for example because the disk is full.
        """
        if not self._writes:
            return
        if self._committed is None:
            self._committed = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._committed)

    def commit(self) -> None:
        """Commit all writes so far now.

        Raises:
            ApiError: none of this turn is, for example because the disk is full.
        """
        error = self._store()
        if error is not None:
            raise error

    def flush(self) -> None:
        """Commit all writes so far now; an error goes to the callers of `committed` only."""
        self._store()

    def _store(self) -> ApiError | None:
        writes, self._writes = self._writes, []
        committed, self._committed = self._committed, None
        if not writes:
            return None
        try:
            self._transact(writes)
        except sqlite3.Error as failure:
            _log.error("%d statements weren't stored: %s", len(writes), failure)
            text = f"the database can't be written: {failure}; nothing was stored"
            error = ApiError(grpc.StatusCode.UNAVAILABLE, text)
            if committed is not None:
                committed.set_exception(error)
                committed.exception()  # the callers may be gone
            return error
        if committed is not None:
            committed.set_result(None)
        return None

    def rows(self, query: str, *parameters: Any) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query, after all writes so far.

        Raises:
            ApiError: DATA_LOSS; the file is damaged.
        """
        self.flush()
        try:
            yield from self._database.execute(query, parameters)
        except sqlite3.DatabaseError as error:
            text = f"the database can't be read: {error}"
            raise ApiError(grpc.StatusCode.DATA_LOSS, text) from error

    def _transact(self, writes: list[tuple[str, tuple[Any, ...]]]) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            for statement, group in groupby(writes, key=itemgetter(0)):
                self._database.executemany(statement, [parameters for _, parameters in group])
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")
