"""The library: what a researcher types in a notebook. ``import perse`` has these names.

::

    opening.py        load, build                                 orchestrator.py: who builds, if somebody is there
    head_avatar.py    HeadAvatar: look, render, interpolate, animate, export
    naming.py         short names of attributes and expressions, and what they stand for
    pictures.py       Picture (an array that displays itself) and Frames (a lazy sequence of pictures)
"""

from perse.library.head_avatar import HeadAvatar
from perse.library.naming import described
from perse.library.opening import build, load
from perse.library.pictures import Frames, Picture
from perse.viewing import Look

__all__ = ["Frames", "HeadAvatar", "Look", "Picture", "build", "described", "load"]
