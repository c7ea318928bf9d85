"""Schema of the service: requests, their errors, their deadline."""
