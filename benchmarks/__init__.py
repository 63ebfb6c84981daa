"""What the system costs and how quick it is, measured beside its alternatives on the same servers.

`python -m benchmarks` runs everything and prints one table; see `--help`.
"""
