"""Validation: turns a received record into a canonical event or a list of findings."""
