"""Seeded random faults over a mixed workload on a whole line of real processes, and a verdict."""
