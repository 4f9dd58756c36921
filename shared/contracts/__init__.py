"""Contracts: what events look like, which rules they keep and what is measured of them."""
