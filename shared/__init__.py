"""The code that every deployed function contains."""
