"""Run the Cloud Scheduler emulator until SIGTERM or SIGINT.

python -m infra.emulators.scheduler --port 8087
"""

from __future__ import annotations

import asyncio
import logging
import signal

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

import click

from infra.emulators.clock import SystemClock
from infra.emulators.scheduler.server import publisher, serving


async def serve(port: int, pubsub: str) -> None:
    """Serve until a signal."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with publisher(pubsub) as publish, serving(publish, SystemClock(), port=port) as bound:
        click.echo(f"Cloud Scheduler's API on 127.0.0.1:{bound}, publishing to {pubsub}")
        await stopped.wait()


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port. [a free one, which is printed]")
@click.option(
    "--pubsub",
    envvar="PUBSUB_EMULATOR_HOST",
    help="Pub/Sub emulator, host:port. [$PUBSUB_EMULATOR_HOST]",
)
def main(port: int, pubsub: str | None) -> None:
    """Serve the Cloud Scheduler API locally; its jobs publish to the Pub/Sub emulator."""
    if not pubsub:
        raise click.UsageError("PUBSUB_EMULATOR_HOST (or --pubsub): found nothing, expected host:port")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        asyncio.run(serve(port, pubsub))
    except OSError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
