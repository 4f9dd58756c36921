"""Erase: removes what the tables have of some users, computes their days again, and proves that nothing is left."""
