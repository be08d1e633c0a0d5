"""Benchmarks: each figure stands beside its peer, measured in turns in one run."""
