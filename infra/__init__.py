"""What runs on your own machine: provisioning, bundles, the local stack and the `sluice` command."""
