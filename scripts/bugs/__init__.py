"""Deliberate bugs: each is made in a copy of the project, and some test has to notice.

`made.toml` has the bugs. That each can still be made is a test of its own.
"""
