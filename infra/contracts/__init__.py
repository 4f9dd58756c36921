"""Tools for contracts: infer one from a file, compare two, test one, and describe it as JSON Schema."""
