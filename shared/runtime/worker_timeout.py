"""The worker timeout of gunicorn, which kills the worker of an instance that had no CPU for a while."""

from __future__ import annotations

import os

# functions-framework takes gunicorn's timeout from this variable, which Cloud Run sets. Without CPU between requests a
# worker sends no heartbeat, and gunicorn kills it when the instance wakes up. Cloud Run limits a request by itself.
_VARIABLE = "CLOUD_RUN_TIMEOUT_SECONDS"


def disable_worker_timeout() -> None:
    """Disable the timeout; functions-framework reads the variable after it has imported the function."""
    os.environ.pop(_VARIABLE, None)
