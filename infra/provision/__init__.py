"""Provision: declares topics, subscriptions, tables and jobs, and makes what is missing."""
