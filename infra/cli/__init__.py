"""The `sluice` command: each module declares a few subcommands and calls the packages that do the work."""
