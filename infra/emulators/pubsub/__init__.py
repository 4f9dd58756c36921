"""An emulator of Pub/Sub over SQLite: topics, subscriptions, snapshots, delivery by pull, stream and push."""
