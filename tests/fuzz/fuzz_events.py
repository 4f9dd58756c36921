#!/usr/bin/env python3
"""Look for messages that break what is said of all of them, led by the coverage of `shared`: `make fuzz`."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

with atheris.instrument_imports(include=["shared"]):
    from tests.fuzz.invariants import hold_for_input

if __name__ == "__main__":
    atheris.Setup(sys.argv, hold_for_input)
    atheris.Fuzz()
