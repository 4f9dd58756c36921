"""Aggregate: computes the measures of a day and writes them as one run."""
