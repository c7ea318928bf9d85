"""From a photograph to a fitted head, a camera and part masks."""
