"""Measurements; they run from a clone (``python -m benchmarks.peers.flows``) and nothing imports them."""
