"""Colour words and the sRGB values that the procedural editor gives them.

The keys are what prompts may say; the values are albedos seen in diffuse light, 0..255. They are our own choice, far
enough apart that neighbours in one list can be told by name at thumbnail size.
"""

from __future__ import annotations

Rgb = tuple[int, int, int]

FABRIC: dict[str, Rgb] = {
    "red": (188, 32, 38),
    "navy": (28, 42, 88),
    "yellow": (236, 190, 52),
    "green": (32, 112, 62),
    "white": (236, 234, 229),
    "black": (30, 30, 33),
    "purple": (104, 52, 140),
    "orange": (226, 112, 36),
    "teal": (26, 128, 132),
    "pink": (232, 132, 164),
    "grey": (132, 134, 138),
    "brown": (104, 70, 46),
}
"""Cloth, felt, wool and plastic."""

HAIR: dict[str, Rgb] = {
    "black": (26, 22, 22),
    "blonde": (208, 170, 106),
    "red": (162, 66, 26),
    "brown": (82, 53, 34),
    "grey": (142, 141, 140),
    "white": (224, 222, 216),
    "auburn": (104, 42, 26),
    "blue": (42, 88, 176),
    "pink": (222, 104, 152),
    "green": (46, 136, 74),
    "purple": (112, 58, 150),
    "platinum": (232, 216, 178),
}
"""Hair of the head; brows and beards use the natural ones."""

NATURAL_HAIR: tuple[str, ...] = ("brown", "black", "red", "grey", "blonde", "white", "auburn")

LIPS: dict[str, Rgb] = {
    "red": (176, 18, 34),
    "plum": (94, 24, 66),
    "pink": (232, 78, 134),
    "black": (34, 20, 26),
    "coral": (238, 104, 82),
    "brown": (118, 62, 48),
    "blue": (48, 68, 158),
    "nude": (196, 142, 120),
}
"""Lipstick."""

METALS: dict[str, Rgb] = {
    "gold": (222, 172, 72),
    "silver": (200, 204, 210),
    "rose gold": (214, 146, 122),
}

STONES: dict[str, Rgb] = {
    "pearl": (238, 232, 220),
    "ruby": (178, 16, 44),
    "emerald": (16, 138, 84),
    "sapphire": (26, 62, 178),
    "turquoise": (44, 178, 180),
    "onyx": (26, 24, 28),
}
