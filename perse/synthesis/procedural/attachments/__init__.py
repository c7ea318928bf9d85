"""Things worn on the head, built over the skull of the fitted head: hats, headphones, earrings, hair."""
