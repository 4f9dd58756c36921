"""Batch: validate, load, publish and replay many events at once."""
