"""Emulators: servers for this machine that stand in for those of Google Cloud."""
