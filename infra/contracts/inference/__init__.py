"""Infer the contract of a file: sample, columns, roles, rules, text."""
