"""A step of a Beam pipeline with a connection to Bigtable."""

from __future__ import annotations

import apache_beam as beam

from infra.beam.event_loop import run
from shared import gc_tuning
from shared.bigtable.client import Bigtable
from shared.config import Settings


class BigtableDoFn(beam.DoFn):
    """A DoFn with a connection, open from its set-up to its teardown.

    Attributes:
        bigtable: the connection; the first call opens it.
    """

    bigtable: Bigtable

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def setup(self) -> None:
        """Prepare the connection."""
        gc_tuning.apply()
        self.bigtable = Bigtable(self._settings)

    def teardown(self) -> None:
        """Close the connection."""
        run(self.bigtable.close())
