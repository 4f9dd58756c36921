"""Deployment: builds bundles and deploys functions, accounts and alerts to Google Cloud."""
