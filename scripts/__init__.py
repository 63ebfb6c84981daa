"""What keeps the house in order: run by the make targets, never part of what is installed."""
