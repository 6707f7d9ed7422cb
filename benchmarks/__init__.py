"""Benchmarks of QuantMCU. They need the checkout; `python -m benchmarks.networks` is the one to start with."""
