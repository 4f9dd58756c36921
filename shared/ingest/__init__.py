"""Ingest: the path of a message from its arrival to the acknowledged write."""
