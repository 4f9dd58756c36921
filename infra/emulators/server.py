"""The server of the embedded emulators: Bigtable, Pub/Sub and Cloud Scheduler in one process, on one port."""

from __future__ import annotations

import asyncio
import fcntl
import json
import signal
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

import grpc

from infra.emulators.bigtable.service import BigtableService
from infra.emulators.clock import SystemClock
from infra.emulators.database import file_errors, open_database
from infra.emulators.pubsub.service import PubSubService
from infra.emulators.scheduler.service import Service
from shared import gc_tuning
from shared.config import EMULATOR_VARIABLES

# A MutateRows request may have 256 MiB (https://cloud.google.com/bigtable/quotas#limits).
_OPTIONS = [
    ("grpc.max_receive_message_length", 256 << 20),
    ("grpc.max_send_message_length", 256 << 20),
    # Refuse a port that is in use; by default two servers would share its calls.
    ("grpc.so_reuseport", 0),
]
_GRACE = 1.0  # seconds for calls in flight at the end
_WRITE_COUNTS_EVERY = 0.05


async def serve(echo: Callable[[str], object], *, host: str = "127.0.0.1", **options: Any) -> None:
    """Serve until SIGTERM or SIGINT; print the variables by which clients find the server.

    Args:
        echo: prints a line.
        host: the address to listen on.
        options: those of `serving`.
    """
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serving(host=host, **options) as port:
        for variable in EMULATOR_VARIABLES.values():
            echo(f"export {variable}={host}:{port}")
        await stopped.wait()


@asynccontextmanager
async def serving(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    data: Path | None = None,
    push_limits: Mapping[str, int] | None = None,
    forget_endpoints: Collection[str] = (),
    stats: Path | None = None,
) -> AsyncIterator[int]:
    """Serve inside an `async with` block; yields the port.

    Args:
        host: the address to listen on.
        port: the port; 0 for a free one.
        data: the folder that keeps all data across restarts; None keeps it in memory.
        push_limits: the most push requests in flight, by the full name of a subscription.
        forget_endpoints: IDs of subscriptions whose push endpoints in the folder are of an earlier run. They get no
            pushes until a client sets an endpoint.
        stats: a JSON file for the counts of deliveries, by the full name of the subscription.

    Raises:
        OSError: the port is in use, the folder can't be written, or a file of it isn't a complete database.
    """
    async with AsyncExitStack() as stack:
        if data is not None:
            stack.enter_context(_locked(data))
        paths = {name: data / f"{name}.sqlite" if data else None for name in ("bigtable", "pubsub", "scheduler")}
        databases = {}
        for name, path in paths.items():
            with file_errors(path):
                databases[name] = stack.enter_context(closing(open_database(path)))
        clock = SystemClock()
        with file_errors(paths["bigtable"]):
            bigtable = BigtableService(databases["bigtable"])
        stack.callback(bigtable.close)
        with file_errors(paths["pubsub"]):
            pubsub = PubSubService(databases["pubsub"], clock, push_limits, forget_endpoints)
        with file_errors(paths["scheduler"]):
            scheduler = Service(pubsub.publish, clock, databases["scheduler"])
        server = grpc.aio.server(options=_OPTIONS)
        server.add_generic_rpc_handlers((*bigtable.handlers(), *pubsub.handlers(), *scheduler.handlers()))
        try:
            bound = server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            raise OSError(f"port {port}: {error}") from None
        stack.push_async_callback(pubsub.close)
        with file_errors(paths["pubsub"]):
            await pubsub.start()
        stack.push_async_callback(scheduler.close)
        with file_errors(paths["scheduler"]):
            scheduler.start()
        await server.start()
        gc_tuning.apply()
        stack.push_async_callback(server.stop, _GRACE)
        if stats is not None:
            writer = asyncio.create_task(_write_counts(stats, pubsub))
            stack.callback(writer.cancel)
        yield bound


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder inside a `with` block, and make it if necessary; raises OSError if another process holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(f"{folder}: found it in use by another process, expected a folder of its own") from None
        yield


async def _write_counts(path: Path, pubsub: PubSubService) -> None:
    """Write the counts of deliveries whenever they have changed, until cancelled."""
    written = ""
    while True:
        text = json.dumps(pubsub.delivery_counts())
        if text != written:
            temporary = path.with_suffix(".new")
            with suppress(OSError):
                temporary.write_text(text)
                temporary.replace(path)  # atomic: a reader never sees a partial file
            written = text
        await asyncio.sleep(_WRITE_COUNTS_EVERY)
