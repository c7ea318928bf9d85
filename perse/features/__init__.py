"""Encoders of attribute pictures and sentences (f_I, f_T of Eq. 5)."""
