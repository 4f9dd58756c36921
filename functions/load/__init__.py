"""Deployed as `load`."""
