"""A gRPC proxy in front of the Bigtable emulator that injects faults: failed calls, lost responses, outages.

It forwards requests and responses as bytes, and parses only MutateRows, to fail single entries. A TCP gate in front of
it resets and refuses connections, which a gRPC server can't do.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import grpc
from google.cloud.bigtable_v2.types import MutateRowsRequest, MutateRowsResponse, ReadRowsResponse

_Request: Any = type(MutateRowsRequest.pb(MutateRowsRequest()))
_Response: Any = type(MutateRowsResponse.pb(MutateRowsResponse()))
_Rows: Any = type(ReadRowsResponse.pb(ReadRowsResponse()))
_ANY_SIZE = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
_MUTATE_ROWS, _READ_ROWS = "MutateRows", "ReadRows"
_COPY_BYTES = 64 * 1024

Code = grpc.StatusCode
TRANSIENT = (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED)


@dataclass(frozen=True)
class Faults:
    """The faults to inject, as shares between 0 and 1. The shares also hold for a small number of calls.

    Attributes:
        calls: calls that fail with one of `codes` and aren't forwarded.
        codes: status codes of failed calls and entries.
        entries: entries of forwarded MutateRows calls that fail, or that the response omits.
        responses: responses lost after Bigtable has applied the request; a ReadRows stream breaks after its first part.
        delay: seconds that every call waits first.
        table: inject only into calls for this table; into all if empty.
        refuse: a predicate of row keys whose entries always fail, and their status code.
    """

    calls: float = 0.0
    codes: tuple[Code, ...] = TRANSIENT
    entries: float = 0.0
    responses: float = 0.0
    delay: float = 0.0
    table: str = ""
    refuse: tuple[Callable[[bytes], bool], Code] | None = None


class FaultProxy:
    """Forwards to Bigtable's emulator inside its `with` block.

    Attributes:
        address: `host:port` to connect to.
        faults: the faults to inject; may be replaced at any time.
        injected: number of faults so far, by kind.
        calls: number of calls so far, forwarded or not, by method.
    """

    def __init__(self, emulator: str, *, seed: int = 0) -> None:
        self.faults = Faults()
        self.injected: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._due: defaultdict[str, float] = defaultdict(lambda: 0.5)
        self._lock = threading.Lock()
        self._channel = grpc.insecure_channel(emulator, options=_ANY_SIZE)
        self._server = grpc.server(
            ThreadPoolExecutor(64, "proxy"), handlers=[_AnyMethod(self._forward)], options=_ANY_SIZE
        )
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._gate = _Gate(("127.0.0.1", port))
        self.address = self._gate.address

    def __enter__(self) -> Self:
        self._server.start()
        self._gate.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._gate.close()
        self._server.stop(None).wait()
        self._channel.close()

    def reset(self) -> int:
        """Reset all connections, and keep accepting new ones; return their number."""
        count = self._gate.reset()
        self._count("connections reset", count)
        return count

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """Reset all connections and refuse new ones inside the block."""
        self._count("outage")
        self._gate.close()
        try:
            yield
        finally:
            self._gate.open()

    def _forward(self, method: str, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        faults, name = self.faults, method.rpartition("/")[2]
        with self._lock:
            self.calls[name] += 1
        metadata = [(key, value) for key, value in context.invocation_metadata() if key.startswith(("x-", "bigtable"))]
        call = self._channel.unary_stream(method)
        if faults.table and f"/tables/{faults.table}".encode() not in request[:300]:
            yield from call(request, metadata=metadata, timeout=context.time_remaining())
            return
        if faults.delay:
            time.sleep(faults.delay)
        if self._is_due("calls", faults.calls):
            self._fail(context, self._pick(faults.codes), "call")
        is_lost = self._is_due("responses", faults.responses)
        dropped: list[tuple[int, Code | None]] = []
        kept: list[int] = []
        if name == _MUTATE_ROWS and (faults.entries or faults.refuse):
            request, kept, dropped = self._drop_entries(request, faults)
        if dropped:
            yield _response_of(dropped)
            if not kept:
                return
        try:
            for number, response in enumerate(call(request, metadata=metadata, timeout=context.time_remaining())):
                if is_lost and name == _READ_ROWS:
                    if number:
                        self._fail(context, Code.UNAVAILABLE, "stream broken")
                    first = _first_row(response)
                    yield first
                    if first != response:
                        self._fail(context, Code.UNAVAILABLE, "stream broken")
                elif not is_lost:
                    yield _renumbered(response, kept) if dropped else response
        except grpc.RpcError as error:
            context.abort(error.code(), error.details() or "")  # type: ignore[attr-defined]
        if is_lost and name != _READ_ROWS:
            self._fail(context, Code.UNAVAILABLE, "response lost")

    def _drop_entries(self, request: bytes, faults: Faults) -> tuple[bytes, list[int], list[tuple[int, Code | None]]]:
        """Remove the entries that are to fail from a MutateRows request.

        Returns:
            The remaining request, the original index of each remaining entry, and the index and status code of each
            dropped entry. The code of an entry that the response omits is None.
        """
        message = _Request.FromString(request)
        kept, dropped = [], []
        for index, entry in enumerate(message.entries):
            if faults.refuse is not None and faults.refuse[0](entry.row_key):
                dropped.append((index, faults.refuse[1]))
                self._count("entry refused")
            elif self._is_due("entries", faults.entries):
                is_omitted = self._is_due("omitted", 0.2)
                dropped.append((index, None if is_omitted else self._pick(faults.codes)))
                self._count("entry omitted" if is_omitted else "entry failed")
            else:
                kept.append(index)
        if dropped:
            remaining = [message.entries[index] for index in kept]
            del message.entries[:]
            message.entries.extend(remaining)
        return message.SerializeToString(), kept, dropped

    def _fail(self, context: grpc.ServicerContext, code: Code, kind: str) -> None:
        self._count(kind if code is Code.UNAVAILABLE and kind != "call" else f"{kind} {code.name}")
        context.abort(code, "injected fault")

    def _count(self, kind: str, times: int = 1) -> None:
        with self._lock:
            self.injected[kind] += times

    def _is_due(self, kind: str, share: float) -> bool:
        """Return whether to inject a fault now: of n calls, n * share have one, give or take one, at random."""
        if share in (0.0, 1.0):
            return bool(share)
        with self._lock:
            self._due[kind] += self._random.uniform(0, 2 * share)
            is_due = self._due[kind] >= 1
            self._due[kind] -= is_due
        return is_due

    def _pick(self, codes: tuple[Code, ...]) -> Code:
        with self._lock:
            return self._random.choice(codes)


class _AnyMethod(grpc.GenericRpcHandler):
    """Handles every method as a stream of responses; a unary response is a stream of one."""

    def __init__(self, forward: Callable[[str, bytes, grpc.ServicerContext], Iterator[bytes]]) -> None:
        self._forward = forward

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def handle(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            return self._forward(details.method, request, context)

        return grpc.unary_stream_rpc_method_handler(handle)


class _Gate:
    """Copies bytes between TCP connections while it is open."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener: socket.socket | None = None
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._address = probe.getsockname()
        self.address = f"{self._address[0]}:{self._address[1]}"

    def open(self) -> None:
        self._listener = socket.create_server(self._address)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept()
            self._listener.close()
            self._listener = None
        self.reset()

    def reset(self) -> int:
        """Reset all connections; return their number."""
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for end in sockets:
            with contextlib.suppress(OSError):
                # Without lingering, close() resets the connection and discards unsent bytes.
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RD)
            end.close()
        return len(sockets) // 2

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                front, _ = listener.accept()
            except OSError:
                return
            back = socket.create_connection(self._target)
            for end in (front, back):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:  # from here on `reset` may close them at any time
                self._sockets |= {front, back}
            for source, sink in ((front, back), (back, front)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_COPY_BYTES):
                sink.sendall(data)
        for end in (source, sink):
            with self._lock:
                self._sockets.discard(end)
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def _first_row(response: bytes) -> bytes:
    """Return a ReadRows response up to the end of its first row; emulators send one row or many in a response."""
    message = _Rows.FromString(response)
    ends = [number for number, chunk in enumerate(message.chunks) if chunk.commit_row]
    if not ends or ends[0] == len(message.chunks) - 1:
        return response
    del message.chunks[ends[0] + 1 :]
    return bytes(message.SerializeToString())


def _renumbered(response: bytes, kept: list[int]) -> bytes:
    """Return a MutateRows response with the indexes that its entries have in the original request."""
    message = _Response.FromString(response)
    for entry in message.entries:
        entry.index = kept[entry.index]
    return bytes(message.SerializeToString())


def _response_of(dropped: list[tuple[int, Code | None]]) -> bytes:
    """Return the MutateRows response for the dropped entries."""
    message = _Response()
    for index, code in dropped:
        if code is not None:
            entry = message.entries.add(index=index)
            entry.status.code, entry.status.message = code.value[0], "injected fault"
    return bytes(message.SerializeToString())
