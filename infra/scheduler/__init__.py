"""A Cloud Scheduler for your own machine: speaks google.cloud.scheduler.v1, keeps jobs in memory, publishes on time."""
