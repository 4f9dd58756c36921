"""Runtime of a function instance: requests, responses, shutdown, logs and metrics."""
