"""Batch: checks, loads, publishes and replays many events at once."""
