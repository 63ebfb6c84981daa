"""What the pages show of a system at work, read and put into figures and words."""
