"""The policies of a worker process, one a file."""
