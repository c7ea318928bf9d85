"""Editors, screens and animators that need no weights."""
