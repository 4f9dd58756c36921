"""Everything that runs outside the functions: provisioning, bundles, the local stack and the `sluice` command."""
