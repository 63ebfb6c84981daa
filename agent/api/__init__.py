"""The HTTP door: health, metrics, and the API for programs."""
