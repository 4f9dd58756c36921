"""Deployed as `query`."""
