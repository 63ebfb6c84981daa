"""How contexts are carried out: what is sent to a Base service, and what its reply means."""
