"""Avatars by id: where they come from, and which are in memory."""
