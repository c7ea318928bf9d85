"""Rows and stages: how one piece of work is run on Ray Data or in this process, and what happens when it fails."""
