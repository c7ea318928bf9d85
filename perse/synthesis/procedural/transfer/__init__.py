"""An attribute of somebody else's photograph on the person (P A.4), without weights."""

from perse.synthesis.procedural.transfer.attribute import TRANSFERABLE, AttributeSource, put_on_attribute
from perse.synthesis.procedural.transfer.making_room import make_room
from perse.synthesis.procedural.transfer.repose import ReposedPicture, repose

__all__ = ["TRANSFERABLE", "AttributeSource", "ReposedPicture", "make_room", "put_on_attribute", "repose"]
