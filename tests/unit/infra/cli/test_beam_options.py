"""The options of Beam: which runner they select, and combinations that make no sense."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from infra.beam.runners import Dataflow, LocalRunner
from infra.cli import options

found: list[Any] = []


@click.command()
@options.beam
def command(runner: Any) -> None:
    found.append(runner)


DATAFLOW = ("--engine", "beam", "--runner", "dataflow", "--staging", "gs://my-bucket")


@pytest.mark.parametrize(
    ("arguments", "runner"),
    [
        ((), None),
        (("--engine", "beam"), LocalRunner(1)),
        (("--engine", "beam", "--runner", "direct", "--workers", "4"), LocalRunner(4)),
        ((*DATAFLOW, "--image", "i"), Dataflow("gs://my-bucket", image="i")),
        (
            (
                *DATAFLOW,
                "--packages",
                "a",
                "--packages",
                "b",
                "--region",
                "r",
                "--service-account",
                "s",
                "--workers",
                "9",
            ),
            Dataflow("gs://my-bucket", region="r", service_account="s", packages=("a", "b"), max_workers=9),
        ),
    ],
)
def test_options_select_the_runner(arguments: tuple[str, ...], runner: Any) -> None:
    CliRunner().invoke(command, arguments, catch_exceptions=False)

    assert found.pop() == runner


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--workers", "2"), "found --workers without --engine beam, expected both"),
        (("--runner", "direct"), "found --runner without --engine beam, expected both"),
        (("--engine", "beam", "--region", "r"), "found --region without --runner dataflow, expected both"),
        (("--image", "i", "--staging", "gs://b"), "found --staging, --image without --engine beam, expected both"),
        (("--engine", "beam", "--runner", "dataflow"), "found --runner dataflow without --staging, expected both"),
    ],
)
def test_options_that_have_no_effect_are_refused(arguments: tuple[str, ...], text: str) -> None:
    result = CliRunner().invoke(command, arguments)

    assert result.exit_code == 2
    assert text in result.output
