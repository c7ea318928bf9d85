"""Viewer: its page, its routes and its socket."""
