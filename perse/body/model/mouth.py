"""Inside of the mouth: which vertices it has, and colours for what a photograph seldom shows.

Without it an open mouth shows the skin and hair of whatever lies behind it.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from perse.body.model.joints import BodyJoint
from perse.body.model.upsampling import unit_normals
from perse.head import HeadModel
from perse.head.model import Region

MIDDLE_M = (0.0, -0.063, -0.022)
"""Of the mouth, from the middle between the eyes (x the person's left, y up, z to the front) [M, the anny body]."""
HALF_M = (0.042, 0.046, 0.056)
"""Half the size of the box around it."""
INNER_RGB, TONGUE_RGB, TEETH_RGB = (112, 58, 54), (164, 92, 86), (226, 216, 200)
"""Colours of the inside of the mouth."""
TEETH = (int(Region.UPPER_TEETH), int(Region.LOWER_TEETH))


def in_mouth(model: HeadModel) -> Bool[Tensor, " v"]:
    """Mask [v] of teeth, tongue, and skin that looks at the middle of the mouth instead of away from it."""
    eyes = (model.joint_regressor @ model.template)[[BodyJoint.LEFT_EYE, BodyJoint.RIGHT_EYE]].mean(0)
    place = model.template - eyes - torch.tensor(MIDDLE_M)
    near = (place.abs() < torch.tensor(HALF_M)).all(1)
    inwards = (unit_normals(model.template, model.faces) * place).sum(1) < 0
    labelled = torch.isin(model.regions, torch.tensor([*TEETH, int(Region.TONGUE)]))
    return (near & inwards) | labelled


def lining(model: HeadModel) -> Bool[Tensor, " v"]:
    """Mask [v] of the skin inside the mouth. Its other side is a cheek's or a lip's, millimetres away."""
    return in_mouth(model) & (model.regions == int(Region.SKIN))


def mouth_colors(model: HeadModel) -> Float[Tensor, "v 3"]:
    """Colours [v, 3] in [0, 1]; they mean something for vertices in the mouth."""
    colors = torch.tensor(INNER_RGB).float().expand(model.n_vertices, 3).clone()
    colors[model.regions == int(Region.TONGUE)] = torch.tensor(TONGUE_RGB).float()
    colors[torch.isin(model.regions, torch.tensor(TEETH))] = torch.tensor(TEETH_RGB).float()
    return colors / 255
