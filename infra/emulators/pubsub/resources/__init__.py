"""Validation of topics, subscriptions and snapshots, with the limits and defaults of the API. Pure."""
