"""Every MongoDB operation, named by intent."""
