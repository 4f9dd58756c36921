"""Deployed as `aggregate`."""
