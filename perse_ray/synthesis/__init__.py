"""Synthesis on Ray Data: from prompts to clips."""
