"""A gRPC proxy that stands before the Bigtable emulator and breaks, on command, what can break on the way there.

What it forwards it forwards as bytes. It knows of Bigtable only that MutateRows has entries with a status each, so that
it can fail some of them. In front of it a plain TCP gate can be shut, which no gRPC server can do to its connections.
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
from google.cloud.bigtable_v2.types import MutateRowsRequest, MutateRowsResponse

_Request: Any = type(MutateRowsRequest.pb(MutateRowsRequest()))
_Response: Any = type(MutateRowsResponse.pb(MutateRowsResponse()))
_ANY_SIZE = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
_MUTATE_ROWS, _READ_ROWS = "MutateRows", "ReadRows"
_STREAM = 64 * 1024

Code = grpc.StatusCode
TRANSIENT = (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED)


@dataclass(frozen=True)
class Faults:
    """What goes wrong, as shares between 0 and 1; few calls have their share as many have.

    Attributes:
        calls: answered with one of `codes`; Bigtable never hears of them.
        codes: for calls and for entries.
        entries: of MutateRows calls that get through, refused alone, or not mentioned in the answer at all.
        answers: lost, after Bigtable has done what was asked; those of ReadRows break off after a part.
        delay: seconds that every call waits first.
        table: only calls about this table; all if empty.
        refuse: entries, by their row key, that are always refused, with the code that comes with it.
    """

    calls: float = 0.0
    codes: tuple[Code, ...] = TRANSIENT
    entries: float = 0.0
    answers: float = 0.0
    delay: float = 0.0
    table: str = ""
    refuse: tuple[Callable[[bytes], bool], Code] | None = None


class FaultProxy:
    """Forwards to Bigtable's emulator; use it as a context manager, and tell it of faults at any time.

    Attributes:
        address: `host:port` to connect to.
        faults: what goes wrong at present.
        injected: what has gone wrong so far, by kind.
        calls: forwarded or not, by method.
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
            ThreadPoolExecutor(64, "proxy"), handlers=[_Anything(self._forward)], options=_ANY_SIZE
        )
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._gate = _Gate(("127.0.0.1", port))
        self.address = self._gate.address

    def __enter__(self) -> Self:
        self._server.start()
        self._gate.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._gate.shut()
        self._server.stop(None).wait()
        self._channel.close()

    def reset(self) -> None:
        """Reset all connections; new ones are taken at once."""
        self._count("connections reset", self._gate.reset())

    @contextlib.contextmanager
    def darkness(self) -> Iterator[None]:
        """Refuse connections, and have none, inside the block."""
        self._count("darkness")
        self._gate.shut()
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
        if self._chance("calls", faults.calls):
            self._fail(context, self._pick(faults.codes), "call")
        lost = self._chance("answers", faults.answers)
        dropped: list[tuple[int, Code | None]] = []
        places: list[int] = []
        if name == _MUTATE_ROWS and (faults.entries or faults.refuse):
            request, places, dropped = self._thin_out(request, faults)
        if dropped:
            yield _answer(dropped)
            if not places:
                return
        try:
            for number, response in enumerate(call(request, metadata=metadata, timeout=context.time_remaining())):
                if lost and name == _READ_ROWS and number:
                    self._fail(context, Code.UNAVAILABLE, "stream broken")
                if not lost or name == _READ_ROWS:
                    yield _renumbered(response, places) if dropped else response
        except grpc.RpcError as error:
            context.abort(error.code(), error.details() or "")  # type: ignore[attr-defined]
        if lost and name != _READ_ROWS:
            self._fail(context, Code.UNAVAILABLE, "answer lost")

    def _thin_out(self, request: bytes, faults: Faults) -> tuple[bytes, list[int], list[tuple[int, Code | None]]]:
        """Take entries out of a MutateRows: what is left, where that stood, and what the others are answered."""
        message = _Request.FromString(request)
        places, dropped = [], []
        for index, entry in enumerate(message.entries):
            if faults.refuse is not None and faults.refuse[0](entry.row_key):
                dropped.append((index, faults.refuse[1]))
                self._count("entry refused")
            elif self._chance("entries", faults.entries):
                unmentioned = self._chance("unmentioned", 0.2)
                dropped.append((index, None if unmentioned else self._pick(faults.codes)))
                self._count("entry unmentioned" if unmentioned else "entry failed")
            else:
                places.append(index)
        if dropped:
            left = [message.entries[index] for index in places]
            del message.entries[:]
            message.entries.extend(left)
        return message.SerializeToString(), places, dropped

    def _fail(self, context: grpc.ServicerContext, code: Code, kind: str) -> None:
        self._count(kind if code is Code.UNAVAILABLE and kind != "call" else f"{kind} {code.name}")
        context.abort(code, "a fault on purpose")

    def _count(self, kind: str, times: int = 1) -> None:
        with self._lock:
            self.injected[kind] += times

    def _chance(self, kind: str, share: float) -> bool:
        """Return whether it is the turn of a fault: of n calls n * share have one, give or take one, at random."""
        if share in (0.0, 1.0):
            return bool(share)
        with self._lock:
            self._due[kind] += self._random.uniform(0, 2 * share)
            due = self._due[kind] >= 1
            self._due[kind] -= due
        return due

    def _pick(self, codes: tuple[Code, ...]) -> Code:
        with self._lock:
            return self._random.choice(codes)


class _Anything(grpc.GenericRpcHandler):
    """Handles every method with a stream of answers, which a lone answer is too."""

    def __init__(self, forward: Callable[[str, bytes, grpc.ServicerContext], Iterator[bytes]]) -> None:
        self._forward = forward

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def answer(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            return self._forward(details.method, request, context)

        return grpc.unary_stream_rpc_method_handler(answer)


class _Gate:
    """Carries bytes between TCP connections, until it is shut."""

    def __init__(self, behind: tuple[str, int]) -> None:
        self._behind = behind
        self._listener: socket.socket | None = None
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._address = probe.getsockname()
        self.address = f"{self._address[0]}:{self._address[1]}"

    def open(self) -> None:
        self._listener = socket.create_server(self._address)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits for a connection
            self._listener.close()
            self._listener = None
        self.reset()

    def reset(self) -> int:
        """Reset all connections; returns how many ends that were."""
        with self._lock:
            ends, self._ends = self._ends, set()
        for end in ends:
            with contextlib.suppress(OSError):
                # Closed without lingering, a connection is reset, and what is unsent is gone.
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RD)
            end.close()
        return len(ends) // 2

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                front, _ = listener.accept()
            except OSError:
                return
            back = socket.create_connection(self._behind)
            for end in (front, back):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:  # from here on they may be reset, and closed, at any time
                self._ends |= {front, back}
            for source, sink in ((front, back), (back, front)):
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_STREAM):
                sink.sendall(data)
        for end in (source, sink):
            with self._lock:
                self._ends.discard(end)
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def _renumbered(response: bytes, places: list[int]) -> bytes:
    message = _Response.FromString(response)
    for entry in message.entries:
        entry.index = places[entry.index]
    return bytes(message.SerializeToString())


def _answer(dropped: list[tuple[int, Code | None]]) -> bytes:
    message = _Response()
    for index, code in dropped:
        if code is not None:
            entry = message.entries.add(index=index)
            entry.status.code, entry.status.message = code.value[0], "a fault on purpose"
    return bytes(message.SerializeToString())
