"""The viewer: its page, its routes and its socket."""
