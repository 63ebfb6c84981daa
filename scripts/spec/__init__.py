"""Checks the model in `docs/spec/` with TLC, and that the models which are wrong on purpose fail.

It wants Java, and Maven once, to fetch TLC. Where they are missing it says that nothing was
checked; in CI that is an error.
"""
