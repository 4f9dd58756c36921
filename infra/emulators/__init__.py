"""Emulators: local servers with the API of Google Cloud services."""
