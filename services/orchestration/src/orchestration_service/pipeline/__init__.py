"""One decision: a literal list of stages, and a runner that owns deadlines, degradation and digests."""
