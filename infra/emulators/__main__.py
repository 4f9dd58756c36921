"""Run the embedded emulators until SIGTERM or SIGINT.

python -m infra.emulators --port 8086 --data folder
"""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path
from typing import Any

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

import click

from infra.emulators.server import serve


class _PushLimit(click.ParamType[tuple[str, int]]):
    name = "SUBSCRIPTION=N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        found = re.fullmatch(r"(projects/[^/=]+/subscriptions/[^/=]+)=([1-9]\d{0,3})", value)
        if not found:
            self.fail(f"found {value!r}, expected for example projects/p/subscriptions/s=1", param, ctx)
        return found[1], int(found[2])


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port. [a free one, which is printed]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that keeps all data across restarts. [in memory]",
)
@click.option("--push-limit", "limits", type=_PushLimit(), multiple=True, help="Most pushes of a subscription at once.")
@click.option(
    "--forget-endpoint",
    "forgotten",
    metavar="ID",
    multiple=True,
    help="ID of a subscription whose push endpoint in the folder is of an earlier run.",
)
@click.option("--stats", type=click.Path(path_type=Path), help="JSON file for counts of deliveries, by subscription.")
def main(
    port: int,
    host: str,
    data: Path | None,
    limits: tuple[tuple[str, int], ...],
    forgotten: tuple[str, ...],
    stats: Path | None,
) -> None:
    """Serve Bigtable, Pub/Sub and Cloud Scheduler to Google's clients."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        asyncio.run(
            serve(
                click.echo,
                port=port,
                host=host,
                data=data,
                push_limits=dict(limits),
                forget_endpoints=forgotten,
                stats=stats,
            )
        )
    except OSError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
