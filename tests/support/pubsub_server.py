"""A Pub/Sub engine in a process of its own, for tests that kill it: python -m tests.support.pubsub_server FILE."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

import grpc

from infra.emulators.database import open_database
from infra.emulators.pubsub.service import PubSubService


async def serve(path: Path) -> None:
    """Serve until killed; prints the port."""
    service = PubSubService(open_database(path))
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(service.handlers())
    port = server.add_insecure_port("127.0.0.1:0")
    await service.start()
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
