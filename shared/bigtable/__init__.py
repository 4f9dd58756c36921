"""Bigtable: reads rows and writes mutations over a gRPC channel, with retries."""
