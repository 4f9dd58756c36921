"""Tables: one module for each Bigtable table, with its row keys, cells and queries."""
