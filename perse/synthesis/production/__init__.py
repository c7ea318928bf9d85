"""The production editor: mask portrait, parsing, mask logic and inpainting by pretrained models (P 4.2, Eq. 6–9)."""
