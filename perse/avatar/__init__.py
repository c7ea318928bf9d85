"""The PERSE avatar (P A.1, Figure 2)."""
