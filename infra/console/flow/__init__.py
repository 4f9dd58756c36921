"""Flow: what the live page shows of a running local stack."""
