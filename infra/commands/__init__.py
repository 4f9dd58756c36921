"""The subcommands of `sluice`, by what they are about; each only reads its options and hands over."""
