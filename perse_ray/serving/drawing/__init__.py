"""One avatar in memory: from a request to pictures."""
