"""The scene around a head: its light, and the drawing of attachments with their shadows."""

from perse.synthesis.procedural.scene.buffers import FrameBuffers
from perse.synthesis.procedural.scene.draw import draw_attachments
from perse.synthesis.procedural.scene.light import Light, fit_light
from perse.synthesis.procedural.scene.prepare import PreparedAttachments, prepare_attachments
from perse.synthesis.procedural.scene.shadows import ShadowConfig, bake_occlusion, self_occlusion, shadows_on

__all__ = [
    "FrameBuffers",
    "Light",
    "PreparedAttachments",
    "ShadowConfig",
    "bake_occlusion",
    "draw_attachments",
    "fit_light",
    "prepare_attachments",
    "self_occlusion",
    "shadows_on",
]
