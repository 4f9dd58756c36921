"""Commands that move events and read or change the tables."""
