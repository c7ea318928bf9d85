"""An open mouth shows teeth and a dark inside, and what lines it stays inside."""

from __future__ import annotations

import torch

from perse.body.animation.dressed import DressedPerson
from perse.body.avatar import OffsetConfig, start_avatar
from perse.body.model import BodyJoint, BodyRegion, body_regions
from perse.body.model.mouth import in_mouth, lining, mouth_colors
from perse.body.model.upsampling import unit_normals
from perse.head import HeadModel
from perse.head.model import Region


def test_teeth_and_tongue_go_with_their_bones(body_model: HeadModel) -> None:
    def share(region: Region, joint: BodyJoint) -> float:
        chosen = body_model.regions == int(region)
        assert bool(chosen.any())
        return float(body_model.skinning_weights[chosen][:, int(joint)].min())

    assert share(Region.UPPER_TEETH, BodyJoint.HEAD) > 0.95
    assert share(Region.LOWER_TEETH, BodyJoint.JAW) > 0.95
    assert share(Region.TONGUE, BodyJoint.JAW) > 0.5


def test_the_inside_of_the_mouth_is_a_bag_behind_the_lips_and_never_scalp(body_model: HeadModel) -> None:
    inside = in_mouth(body_model)
    skin = body_model.regions == int(Region.SKIN)
    assert 250 < int((inside & skin).sum()) < 700  # the artists' bag has about 400 vertices
    assert not bool((inside & (body_regions(body_model) == BodyRegion.SCALP)).any())
    places = body_model.template[inside]
    assert float((places.max(0).values - places.min(0).values).max()) < 0.12
    front = body_model.template[(body_regions(body_model) == BodyRegion.FACE) & ~inside]
    assert float(places[:, 2].max()) < float(front[:, 2].max())  # nothing of it is the tip of the nose


def test_teeth_are_light_and_what_is_behind_them_is_dark(body_model: HeadModel) -> None:
    brightness = mouth_colors(body_model).mean(1)
    teeth = body_model.regions == int(Region.UPPER_TEETH)
    bag = in_mouth(body_model) & (body_model.regions == int(Region.SKIN))
    assert float(brightness[teeth].min()) > 2 * float(brightness[bag].max())
    assert mouth_colors(body_model).shape == torch.Size([body_model.n_vertices, 3])


def test_points_of_a_lining_stand_inside_and_not_in_the_skin_before_it(dressed: DressedPerson) -> None:
    avatar = start_avatar(dressed, dressed.fill, OffsetConfig(features=2, resolution=8, hidden=8), 0)
    inside = lining(dressed.model)
    outwards = (avatar.moved * unit_normals(dressed.rest, dressed.faces)).sum(1)
    assert float(outwards[inside].min()) > 0 > float(outwards[~inside].max())
