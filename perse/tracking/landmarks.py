"""Names for mediapipe's 478 face landmarks: 468 on the surface and 10 of the irises.

"Left" and "right" are the person's own. Closed contours go round once, without repeating their first point.
The indices are facts of the canonical face model that mediapipe publishes.
"""

from __future__ import annotations

Loop = tuple[int, ...]

N_SURFACE = 468
"""Landmarks 0…467 lie on the skin; 468…477 are the irises."""

FACE_OVAL: Loop = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""Clockwise in the picture from the forehead's middle: down the person's left side, chin, up the right side."""

JAW_LINE: Loop = (454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234)
"""The lower part of the oval, from the left ear to the right ear."""

LIPS_OUTER: Loop = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
"""From the right corner along the lower edge to the left corner (291), back along the upper edge."""

LIPS_INNER: Loop = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
"""As `LIPS_OUTER`, where the lips meet."""

LIPS_UPPER_OUTER: Loop = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LIPS_LOWER_OUTER: Loop = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
LIPS_UPPER_INNER: Loop = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LIPS_LOWER_INNER: Loop = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
"""Open arcs from the right to the left corner."""

LIPS: Loop = tuple(
    sorted(
        {
            0, 13, 14, 17, 37, 39, 40, 61, 78, 80, 81, 82, 84, 87, 88, 91, 95, 146, 178, 181, 185, 191,
            267, 269, 270, 291, 308, 310, 311, 312, 314, 317, 318, 321, 324, 375, 402, 405, 409, 415,
        }
    )
)  # fmt: skip
"""All points on the two lip contours."""

LIPS_BETWEEN: Loop = (
    62, 76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306, 292, 408, 304, 303, 302, 11, 72, 73, 74, 184,
    96, 89, 179, 86, 15, 316, 403, 319, 325, 407, 272, 271, 268, 12, 38, 41, 42, 183,
)  # fmt: skip
"""Points on the red of the lips, between the contours."""

MOUTH_CORNERS: tuple[int, int] = (291, 61)
"""Left, right."""

RIGHT_EYE: Loop = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
"""The opening of the person's right eye, from its outer corner along the lower lid."""

LEFT_EYE: Loop = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
"""The opening of the person's left eye, from its outer corner along the lower lid."""

RIGHT_UPPER_LID: Loop = (33, 246, 161, 160, 159, 158, 157, 173, 133)
RIGHT_LOWER_LID: Loop = (33, 7, 163, 144, 145, 153, 154, 155, 133)
LEFT_UPPER_LID: Loop = (263, 466, 388, 387, 386, 385, 384, 398, 362)
LEFT_LOWER_LID: Loop = (263, 249, 390, 373, 374, 380, 381, 382, 362)
"""Lid edges, outer to inner corner."""

RIGHT_EYE_SURROUND: Loop = (130, 247, 30, 29, 27, 28, 56, 190, 243, 112, 26, 22, 23, 24, 110, 25)
LEFT_EYE_SURROUND: Loop = (359, 467, 260, 259, 257, 258, 286, 414, 463, 341, 256, 252, 253, 254, 339, 255)
"""Around an eye with its lids, along the upper lid's fold inwards and below the lower lid back."""

RIGHT_BROW_UPPER: Loop = (70, 63, 105, 66, 107)
RIGHT_BROW_LOWER: Loop = (46, 53, 52, 65, 55)
LEFT_BROW_UPPER: Loop = (300, 293, 334, 296, 336)
LEFT_BROW_LOWER: Loop = (276, 283, 282, 295, 285)
"""Edges of the brows, outer to inner end."""

RIGHT_BROW: Loop = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
LEFT_BROW: Loop = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
"""Brow contours: along the upper edge inwards, along the lower edge back."""

RIGHT_IRIS: Loop = (469, 470, 471, 472)
LEFT_IRIS: Loop = (474, 475, 476, 477)
"""Around the iris. In mediapipe's order 468…472 lie in the eye on the picture's left, the person's right."""

RIGHT_IRIS_CENTER = 468
LEFT_IRIS_CENTER = 473

NOSE_TIP = 1
NOSE_BASE = 2
"""Below the tip, where the septum meets the lip."""
NASION = 168
"""Between the eyes, the root of the nose."""
CHIN = 152
FOREHEAD = 10
RIGHT_CHEEK = 234
LEFT_CHEEK = 454

NOSE_BRIDGE: Loop = (168, 6, 197, 195, 5, 4, 1)
"""Ridge line from root to tip."""

NOSE_WINGS: tuple[int, int] = (294, 64)
"""Outermost points of the left and right wing."""

NOSE: Loop = (
    168,
    417,
    465,
    343,
    437,
    420,
    360,
    278,
    294,
    327,
    326,
    2,
    97,
    98,
    64,
    48,
    131,
    198,
    217,
    114,
    188,
    122,
    193,
)
"""Contour of the nose: root, down the left side and wing, under the tip, up the right side."""
