"""Benchmarks: OwlRunner beside its peers and beside hand-written SQL, on one PostgreSQL, in one run. Not collected as tests."""
