"""Serve the console of the pipeline in the environment until SIGTERM or SIGINT.

python -m infra.console --port 8087
"""

from __future__ import annotations

import infra.grpc_environment  # noqa: F401 - imported for its effect on gRPC

import click

from infra.console.server import serve
from shared.config import Settings


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port. [a free one, which is printed]")
@click.option("--allow-changes", is_flag=True, help="Allow requests that change something.")
def main(port: int, allow_changes: bool) -> None:
    """Serve the console."""
    serve(Settings.from_environment(), port, click.echo, allow_changes=allow_changes)


if __name__ == "__main__":
    main()
