"""Encoders of attribute pictures and sentences (f_I, f_T of Eq. 5)."""

from perse.features.config import EmbeddedEncoderConfig, OpenClipEncoderConfig, UnrelatedEncoderConfig
from perse.features.embedded import EmbeddedEncoder
from perse.features.encoder import FEATURE_SIZE, Features, PromptImageEncoder
from perse.features.open_clip import OpenClipEncoder

__all__ = [
    "FEATURE_SIZE",
    "EmbeddedEncoder",
    "EmbeddedEncoderConfig",
    "Features",
    "OpenClipEncoder",
    "OpenClipEncoderConfig",
    "PromptImageEncoder",
    "UnrelatedEncoderConfig",
]
