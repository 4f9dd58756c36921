"""What runs on your own machine: provisioning, bundles, the local stack and the `sluice` command."""

import os

# Before gRPC is imported, which reads it then and never again: its fork handlers would bring it to life in a child that
# is about to exec, and at times abort it.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
