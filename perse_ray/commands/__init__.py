"""The command ``perse``: one module a word, and what all of them share (exit codes, recipes by name)."""
