"""Types of arrays that many functions take, by their shape. Annotations only: the tests hold every call to them.

A letter means one number throughout a call: a function of a `Picture` and a `SoftMask` takes both of one height and
width. Shapes that only one module knows stand where they are used.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from numpy.typing import NDArray

Picture = UInt8[NDArray[np.uint8], "h w 3"]
"""RGB."""
Pictures = UInt8[NDArray[np.uint8], "n h w 3"]
"""RGB, of anything."""
Frames = UInt8[NDArray[np.uint8], "f h w 3"]
"""RGB, of one clip in order."""
SquarePicture = UInt8[NDArray[np.uint8], "s s 3"]
"""RGB, of a size of its own: a cut or a map of another picture."""
ByteMask = UInt8[NDArray[np.uint8], "h w"]
"""255 where it holds."""
SoftMask = Float32[NDArray[np.float32], "h w"]
"""In [0, 1]."""
HardMask = Bool[NDArray[np.bool_], "h w"]
"""Where it holds."""
Field = Float32[NDArray[np.float32], "h w"]
"""A number at each pixel."""
Vectors = Float32[NDArray[np.float32], "h w 2"]
"""A vector at each pixel: x, y."""
Colors = Float32[NDArray[np.float32], "h w 3"]
"""A colour at each pixel that is computed with: RGB in 0…255, or CIELAB."""
FaceLandmarks = Float32[NDArray[np.float32], "478 c"]
"""Mediapipe's, in its order: x and y in pixels of a picture, where c is 3 also z in the same scale."""
