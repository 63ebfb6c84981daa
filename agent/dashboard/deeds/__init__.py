"""Changes of many contexts that somebody makes through the pages."""
