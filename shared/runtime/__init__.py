"""Runtime: what a function instance needs around its work, such as requests, logs and metrics."""
