"""The application on Ray Serve: ingress, renderers, deploy arguments."""
