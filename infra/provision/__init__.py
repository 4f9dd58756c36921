"""Provisioning: declares topics, subscriptions, tables and jobs, and creates or updates them."""
