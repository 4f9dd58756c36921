"""An embedded Bigtable: the engine behind the gRPC service."""
