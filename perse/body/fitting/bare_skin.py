"""Where a photographed body shows skin and where cloth, told by the colours of the person's own skin and clothes."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from perse.body.model import BodyRegion, in_regions

SEEN = 0.4
"""How well a vertex has to be seen to count."""
LEAST = 12
"""Fewer seen vertices than this say nothing."""
SKIN_CHROMA = 9.0
"""Distance in Lab's a and b that still counts as the face's colour."""
SKIN_LIGHTNESS = 32.0
LIGHTNESS_SHARE = 0.5
"""Of a difference in lightness beside one in a and b: an arm is lit otherwise than a face, and as tanned."""
SHINE = (0.0, 0.3, 0.6)
"""Shares of white in skin that is lit too brightly: it is paler, and no cloth."""
SAME_HUE = 0.92
"""Cosine of 23 degrees in a and b. A chest in the sun had turned by 13 from its face, four fifths of it by at most 19;
two beige garments by 26 and 28, four fifths of them by 24 and more."""
WHITE = (100.0, 0.0, 0.0)
NEIGHBOURS = 5
DRESSED = 0.5
"""Where less than this share of trunk and hips is not like skin, that is the garment's colour."""
ROUNDS = 3
SURELY = 0.6
"""A vertex whose colour is so much nearer to skin than to cloth is skin, and what is like it may be skin too."""
SKIN_REACH = 14.0
"""And not farther than this from skin that is known."""


def skin_likeness(
    lab: Float[Tensor, "v 3"],
    regions: Int[Tensor, " v"],
    seen: Float[Tensor, " v"],
    hairy: Bool[Tensor, " v"],
    areas: Float[Tensor, " v"],
) -> Float[Tensor, " v"]:
    """[v], 1 where a vertex has the colour of skin, 0 where it has that of cloth.

    Skin is the face's colour and the hands', which are bare; cloth is what of trunk and hips has neither. A vertex is
    what it is nearer to. Light changes from the face to the shins, so what surely is skin counts as skin's colour in
    the next round.

    Args:
        lab: CIELAB of the photograph at each vertex.
        regions: values of `BodyRegion`.
        seen: in [0, 1], how well the photograph shows it.
        hairy: what long hair hangs over.
        areas: of the surface around each vertex: half of a face's are at its eyes and lips, and no skin.
    """
    good = (seen > SEEN) & ~hairy
    face, hands = good & (regions == BodyRegion.FACE), good & (regions == BodyRegion.HAND)
    if int(face.sum()) < LEAST:
        return torch.zeros(len(lab))
    of_face = _like_the_middle(lab, face, areas, 1.0)
    bare_hands = hands & _like_the_middle(lab, face, areas, 2.0)  # no gloves
    near = of_face | _like_the_middle(lab, bare_hands, areas, 1.0) if int(bare_hands.sum()) >= LEAST else of_face
    clothed = good & in_regions(regions, BodyRegion.TORSO, BodyRegion.HIP)
    cloth, skin = clothed & ~near, (face & of_face) | bare_hands
    if int(cloth.sum()) < DRESSED * int(clothed.sum()):
        cloth = clothed  # a beige coat: people are dressed
    if int(cloth.sum()) < LEAST:
        return near.float()
    # No garment says what shoes are like, and white ones are as pale as skin in the sun.
    return (_nearer_to_skin(lab, good, skin, cloth) & (near | (regions != BodyRegion.FOOT))).float()


def _like_the_middle(lab: Tensor, own: Tensor, areas: Tensor, times: float) -> Tensor:
    """[v], whether a colour is like the middle one of these vertices, in other light too."""
    middle = torch.stack([_middle(channel, areas[own]) for channel in lab[own].T])
    pale = middle.lerp(torch.tensor(WHITE), SHINE[1])  # the brightest skin is as pale as a beige blouse
    hue = torch.nn.functional.cosine_similarity(lab[:, 1:], middle[None, 1:], dim=1) > SAME_HUE
    return _near(lab, middle, times) | (_near(lab, pale, times) & hue)


def _near(lab: Tensor, middle: Tensor, times: float) -> Tensor:
    off = lab - middle
    return (off[:, 1:].norm(dim=-1) < times * SKIN_CHROMA) & (off[:, 0].abs() < times * SKIN_LIGHTNESS)


def _middle(values: Tensor, weights: Tensor) -> Tensor:
    """The value [] with half of the weight [n] below it."""
    ordered, order = values.sort()
    below = weights[order].cumsum(0)
    return ordered[int((below < below[-1] / 2).sum())]


def _nearer_to_skin(lab: Tensor, good: Tensor, skin: Tensor, cloth: Tensor) -> Tensor:
    scale = torch.tensor([LIGHTNESS_SHARE, 1.0, 1.0])
    scaled, white = lab * scale, torch.tensor(WHITE) * scale
    from_cloth = nearest(scaled[cloth], scaled)
    for _ in range(ROUNDS):
        from_skin = nearest(torch.cat([scaled[skin].lerp(white, share) for share in SHINE]), scaled)
        surely = good & (from_skin < SURELY * from_cloth) & (from_skin < SKIN_REACH)
        skin = skin | surely
    return (from_skin < from_cloth) & (from_skin < 2 * SKIN_REACH)


def nearest(samples: Float[Tensor, "m c"], asked: Float[Tensor, "n c"]) -> Float[Tensor, " n"]:
    """Mean distance of each to the nearest few samples."""
    neighbours = np.arange(1, min(NEIGHBOURS, len(samples)) + 1)
    distances, _ = cKDTree(samples.numpy()).query(asked.numpy(), k=neighbours)
    return torch.from_numpy(np.asarray(distances, np.float32).mean(1))
