"""Small complete records."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from perse.attributes import Category, Part
from perse.data import (
    Attachment,
    AttributePrompt,
    EditedPortrait,
    PartMasks,
    PortraitClip,
    TrackedPortrait,
    Underlay,
)
from perse.geometry.camera import Camera
from perse.head.parameters import HeadParameters


@pytest.fixture
def prompt() -> AttributePrompt:
    attributes = (("color", "red"), ("shape", "beanie"))
    return AttributePrompt("hat-0003", Category.HAT, attributes, "a red beanie, “naïve”", 2**40)


@pytest.fixture
def head() -> HeadParameters:
    rng = torch.Generator().manual_seed(1)
    return HeadParameters(
        betas=torch.randn(4, generator=rng),
        vertex_offsets=torch.randn(7, 3, generator=rng),
        expression=torch.randn(3, 5, generator=rng),
        pose=torch.randn(3, 5, 3, generator=rng),
    )


@pytest.fixture
def camera() -> Camera:
    return Camera(torch.eye(4), torch.tensor([[20.0, 0, 6], [0, 20, 5], [0, 0, 1]]), 12, 10)


@pytest.fixture
def masks() -> PartMasks:
    rng = np.random.default_rng(2)
    soft = rng.integers(0, 256, (len(Part), 10, 12), np.uint8)
    return PartMasks(soft, rng.integers(0, 256, (10, 12), np.uint8))


@pytest.fixture
def tracked(masks: PartMasks, head: HeadParameters, camera: Camera) -> TrackedPortrait:
    rng = np.random.default_rng(3)
    return TrackedPortrait(
        key="someone",
        image=rng.integers(0, 256, (10, 12, 3), np.uint8),
        inside=rng.integers(0, 256, (10, 12), np.uint8),
        landmarks_px=rng.random((478, 3), np.float32),
        masks=masks,
        head=head.frame(0),
        camera=camera,
        face_width_px=91.25,
        fit_rms_px=0.5,
    )


@pytest.fixture
def attachment() -> Attachment:
    rng = np.random.default_rng(4)
    return Attachment(
        name="beanie dome",
        part=Part.HEADWEAR,
        vertices=rng.random((5, 3), np.float32),
        normals=rng.random((5, 3), np.float32),
        tangents=rng.random((5, 3), np.float32),
        faces=np.array([[0, 1, 2], [2, 3, 4]], np.int32),
        uvs=rng.random((5, 2), np.float32),
        texture=rng.integers(0, 256, (3, 4, 4), np.uint8),
        head_weight=rng.random(5, np.float32),
        occlusion=rng.random(5, np.float32),
        gloss=0.25,
        casts_shadow=False,
    )


@pytest.fixture
def edited(prompt: AttributePrompt, masks: PartMasks, attachment: Attachment) -> EditedPortrait:
    rng = np.random.default_rng(5)
    return EditedPortrait(
        key="edit",
        prompt=prompt,
        image=rng.integers(0, 256, (10, 12, 3), np.uint8),
        masks=masks,
        edit_mask=rng.integers(0, 256, (10, 12), np.uint8),
        attachments=(attachment, attachment),
        underlay=Underlay(rng.integers(0, 256, (10, 12, 3), np.uint8), masks),
        provenance=(("backend", "test"), ("licence", "CC0")),
    )


@pytest.fixture
def clip(head: HeadParameters, camera: Camera) -> PortraitClip:
    rng = np.random.default_rng(6)
    return PortraitClip(
        key="edit",
        frame_numbers=np.array([0, 8, 400], np.int32),
        images=rng.integers(0, 256, (3, 10, 12, 3), np.uint8),
        alphas=rng.integers(0, 256, (3, 10, 12), np.uint8),
        parts=rng.integers(0, len(Part), (3, 10, 12), np.uint8),
        parameters=head,
        camera=camera,
    )
