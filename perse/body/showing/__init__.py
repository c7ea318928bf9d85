"""Pictures, videos and numbers of a trained body avatar."""
