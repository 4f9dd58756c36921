"""The Python versions that bundles support."""

from __future__ import annotations

# The newest version of Cloud Run functions that all our requirements have wheels for, and the one supported longest:
# until October 2029, https://cloud.google.com/functions/docs/runtime-support.
DEPLOYED = "3.13"
# The first one is requires-python in pyproject.toml.
SUPPORTED = ("3.11", "3.12", DEPLOYED)
