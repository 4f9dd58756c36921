"""The `sluice` command: each module reads the options of a few subcommands and calls the package that does the work."""
