"""From requests, and from other programs' documents, to contexts."""
