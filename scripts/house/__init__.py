"""Looks whether the files that deploy the project agree with each other and keep their rules.

One subject a module; each has functions from a file's content to a list of problems. It stands in
for the container engine and the platform that may not be at hand; it builds nothing.
"""
