"""Encoders of attribute pictures and sentences (f_I, f_T of Eq. 5)."""

from perse.features.embedded import EmbeddedEncoder, EmbeddedEncoderConfig
from perse.features.encoder import Features, PromptImageEncoder
from perse.features.open_clip import OpenClipEncoder, OpenClipEncoderConfig

__all__ = [
    "EmbeddedEncoder",
    "EmbeddedEncoderConfig",
    "Features",
    "OpenClipEncoder",
    "OpenClipEncoderConfig",
    "PromptImageEncoder",
]
