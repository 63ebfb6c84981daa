"""What is drawn, as plain numbers for a template."""
