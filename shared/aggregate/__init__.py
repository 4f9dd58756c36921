"""The daily aggregation: compute the measures of a day and write them as one run."""
