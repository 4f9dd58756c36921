"""Validation of events from a form or of rejected events, which stores nothing."""
