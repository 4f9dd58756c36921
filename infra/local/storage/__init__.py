"""A bucket of the local stack: an emulator of Cloud Storage, and the notifications of new objects."""
