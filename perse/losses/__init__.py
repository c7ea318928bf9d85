"""Image losses and regularisers."""
