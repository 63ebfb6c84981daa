"""Who comes in: signing in, sessions, and the guard before every page."""
