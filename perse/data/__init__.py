"""Records that cross the borders between boxes. Frozen dataclasses of arrays; no dict of tensors ever does."""

from perse.data.attachment import Attachment, Sheet
from perse.data.clip import UNRECORDED, PortraitClip
from perse.data.masks import PartMasks
from perse.data.portrait import EditedPortrait, TrackedPortrait, Underlay
from perse.data.prompt import AttributePrompt
from perse.data.verdict import Verdict

__all__ = [
    "UNRECORDED",
    "Attachment",
    "AttributePrompt",
    "EditedPortrait",
    "PartMasks",
    "PortraitClip",
    "Sheet",
    "TrackedPortrait",
    "Underlay",
    "Verdict",
]
