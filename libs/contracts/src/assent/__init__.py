"""Generated protobuf and gRPC stubs of every Assent contract."""
