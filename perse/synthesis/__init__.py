"""Prompts, editors, screen, animator and the motion: from one portrait to many training videos."""
