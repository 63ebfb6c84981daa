"""`python -m scripts.screenshots`: pictures of the pages, over a system that is made up."""
