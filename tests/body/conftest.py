"""A dressed person without a photograph's fit, made once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from body_people import covers_of, standing

from perse.body.animation.dressed import DressedPerson
from perse.body.animation.studio_camera import looking_at
from perse.body.model import AnnyBody, BodyRegion, body_regions
from perse.body.model.covers import Cover
from perse.body.model.upsampling import EdgeLengths, refined
from perse.head import HeadModel


@pytest.fixture(scope="session")
def body_model() -> HeadModel:
    return AnnyBody().load()


@pytest.fixture(scope="session")
def dressed(body_model: HeadModel) -> DressedPerson:
    """A person in a loose shirt, coloured at random, whose photograph is noise."""
    fine = refined(body_model.template.numpy().astype(np.float64), body_model.faces.numpy(),
                   EdgeLengths.everywhere(body_model.n_vertices, 1.0))  # fmt: skip
    covers = covers_of(body_regions(body_model))
    n = len(fine)
    generator = torch.Generator().manual_seed(0)
    return DressedPerson(
        model=body_model, fine=fine, parameters=standing(body_model), rest=body_model.template,
        thickness_m=torch.where(covers == Cover.UPPER, 0.03, 0.0), looseness=(covers == Cover.UPPER).float(),
        skinning=body_model.skinning_weights, covers=covers, hands=body_regions(body_model) == BodyRegion.HAND,
        photograph=np.random.default_rng(0).random((64, 64, 3), np.float32),
        photo_px=torch.zeros(n, 2), seen=torch.zeros(n), fill=torch.rand(n, 3, generator=generator),
        camera=looking_at((0.0, -0.7, 0.0), 4.0, 120.0, 64, 64),
    )  # fmt: skip
