"""Replay of dead letters: messages that Pub/Sub moved to a dead-letter topic after their last delivery."""
