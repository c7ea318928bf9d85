"""The HTTP application: routes, the stream, the documentation page."""
