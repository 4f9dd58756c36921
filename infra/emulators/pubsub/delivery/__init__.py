"""Delivery of messages: the queue of a subscription and its consumers."""
