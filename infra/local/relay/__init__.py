"""The relay between Google's Pub/Sub emulator and the functions, a process."""
