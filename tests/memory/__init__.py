"""Measures the memory in which the readers of files read files of any size."""
