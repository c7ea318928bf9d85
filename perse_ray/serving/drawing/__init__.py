"""Avatar in memory: from a request to pictures."""
