"""Deploy: builds bundles and brings functions, accounts and alerts onto Google Cloud."""
