"""Start the rollup's worker process and exchange frames with it; `rollup_worker` has the frame format.

The process isn't a `ProcessPoolExecutor`: its worker outlives a parent killed with SIGKILL, since both hold the write
end of its queue. Its resource tracker is a further process that stays as long as the parent.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from shared.aggregate.rollup import ValueMeasures
from shared.aggregate.rollup_worker import LENGTH_BYTES, Batch, Plan, encode_frame

_Encoded = dict[str, msgspec.Raw]

_ROOT = Path(__file__).parents[2]


class WorkerProcess:
    """A worker process, started with the first batch. Requests are answered in order."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._send_lock = asyncio.Lock()
        self._writer: asyncio.StreamWriter | None = None
        self._receiver: asyncio.Task[None] | None = None
        self._pending_responses: deque[asyncio.Future[bytes]] = deque()
        self._exit_error: RuntimeError | None = None
        # Measures stay encoded JSON: they are only written.
        self._decode = msgspec.json.Decoder(list[tuple[str, str, _Encoded, _Encoded]]).decode

    async def measure(self, batch: Batch) -> Sequence[ValueMeasures]:
        """Add the events of whole users; return the measures by user."""
        return await self._request(msgspec.msgpack.encode(batch))

    async def remaining(self) -> Sequence[ValueMeasures]:
        """Return further measures of the other dimensions; empty after the last."""
        return await self._request(b"")

    async def close(self) -> None:
        """Kill the process and wait for its end."""
        if self._writer is not None and self._receiver is not None:
            self._process.kill()
            self._writer.close()
            await self._receiver

    async def _request(self, data: bytes) -> list[ValueMeasures]:
        async with self._send_lock:
            writer = self._writer or await self._start()
            if self._exit_error:
                raise self._exit_error
            response: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            self._pending_responses.append(response)
            await _send(writer, data)
        return [ValueMeasures(*each) for each in self._decode(await response)]

    async def _start(self) -> asyncio.StreamWriter:
        parent_socket, worker_socket = socket.socketpair()
        command = [sys.executable, "-m", "shared.aggregate.rollup_worker"]
        with worker_socket:
            # asyncio's subprocesses may fork, which gRPC doesn't support.
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603 - it takes milliseconds; the command is constant
                command, cwd=_ROOT, stdin=worker_socket.fileno(), stdout=worker_socket.fileno()
            )
        reader, self._writer = await asyncio.open_connection(sock=parent_socket)
        self._receiver = asyncio.create_task(self._receive(reader))
        await _send(self._writer, msgspec.msgpack.encode(self._plan))
        return self._writer

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        """Resolve the pending responses in order; at the end of the process fail those that are left."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length = await reader.readexactly(LENGTH_BYTES)
                data = await reader.readexactly(int.from_bytes(length))
                response = self._pending_responses.popleft()
                if not response.done():  # a cancelled request
                    response.set_result(data)
        code = await asyncio.to_thread(self._process.wait)
        self._exit_error = RuntimeError(f"the rollup's worker process ended with exit code {code}")
        for response in self._pending_responses:
            if not response.done():
                response.set_exception(self._exit_error)


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    with suppress(ConnectionError):  # the process has ended; `_receive` fails the pending responses
        writer.write(encode_frame(data))
        await writer.drain()
