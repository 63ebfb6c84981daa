"""The HTTP door: health, metrics, and later the API for programs."""
