"""Contracts: the fields of events, their rules and their measures."""
