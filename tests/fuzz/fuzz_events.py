#!/usr/bin/env python3
"""Search for messages that break an invariant, guided by the coverage of `shared`: `make fuzz`."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

with atheris.instrument_imports(include=["shared"]):
    from tests.fuzz.invariants import check_input

if __name__ == "__main__":
    atheris.Setup(sys.argv, check_input)
    atheris.Fuzz()
