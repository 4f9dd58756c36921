"""An emulator of Cloud Scheduler: jobs, cron expressions, retries and the gRPC API."""
