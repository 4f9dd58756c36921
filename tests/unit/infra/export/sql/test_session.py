"""A session runs one statement, and Ctrl-C ends it."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import Future
from decimal import Decimal

import pyarrow as pa
import pytest
from pytest_mock import MockerFixture

from infra.export.sql.session import Session, session
from shared.errors import QueryError
from tests.support.samples import ROOT

# A query that is being read; without an interruption it never ends.
ENDLESS = """
import pyarrow as pa
from infra.export.sql.session import session

class Endless:
    schema = pa.schema([("a", pa.int64())])

    def __arrow_c_schema__(self):
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema=None):
        return pa.RecordBatchReader.from_batches(self.schema, self.batches()).__arrow_c_stream__(requested_schema)

    def batches(self):
        print("reading", flush=True)
        while True:
            yield pa.record_batch([[1]], schema=self.schema)

try:
    with session({"endless": Endless()}, {}, 64) as opened:
        list(opened.result("select sum(a) from endless").rows)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_ends_a_query() -> None:
    with subprocess.Popen([sys.executable, "-c", ENDLESS], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        process.send_signal(signal.SIGINT)
        try:
            output, _ = process.communicate(timeout=30)
        finally:
            process.kill()

    assert (output, process.returncode) == ("interrupted\n", 0)


def test_an_interruption_before_the_query_begins_is_repeated(mocker: MockerFixture) -> None:
    class Interrupted(Future[None]):
        def result(self, timeout: float | None = None) -> None:
            raise KeyboardInterrupt

    running = Interrupted()
    connection = mocker.Mock(**{"extract_statements.return_value": ["select 1"]})
    connection.interrupt.side_effect = lambda: connection.interrupt.call_count == 2 and running.set_result(None)
    opened = Session(connection, {}, ())
    mocker.patch.object(opened._worker, "submit", return_value=running)

    with pytest.raises(KeyboardInterrupt):
        opened.result("select 1")

    assert connection.interrupt.call_count == 2


def test_values_are_those_of_python() -> None:
    query = "select a, a * 10::hugeint ** 18 / 1 is not null b, 1.5::decimal(4, 2) c, sum(a) over () d from numbers"
    with session({"numbers": pa.table({"a": [7]})}, {}, 64) as opened:
        result = opened.result(query)

        assert result.names == ["a", "b", "c", "d"]
        assert list(result.rows) == [(7, True, Decimal("1.50"), 7)]


def test_variables_of_the_process_are_not_tables() -> None:
    hidden = pa.table({"a": [1]})

    with session({"events": hidden}, {}, 64) as opened, pytest.raises(QueryError, match=r"the tables are events$"):
        opened.result("select * from hidden")


def test_results_beyond_the_memory_are_spilled() -> None:
    query = "select a, repeat(a::varchar, 20) text from range(1000000) t(a) order by text desc, a"

    with session({}, {}, 128) as opened:
        first = next(opened.result(query).rows)

    assert first[0] == 999_999
