"""Turn off gRPC's fork handlers; import this module before any module that imports gRPC.

gRPC reads the variable once, when it is imported. Its fork handlers restart it in every forked child, also in one that
is about to exec another program, and sometimes abort that child.
"""

import os

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
