"""Validation: turns a received record into a canonical event, or into its findings."""
