"""Deployed as `ingest`."""
