"""Pub/Sub: reads the messages that it delivers and publishes to its topics."""
