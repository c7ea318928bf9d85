"""A small face parser of our own: labelled portraits that are drawn, and the training on them."""
