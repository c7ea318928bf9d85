"""What may be asked of the service: requests, their errors, their deadline."""
