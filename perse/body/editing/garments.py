"""Clothes: another garment on the upper body. Its cut says which skin it covers and how far it stands off, its fabric
which colours it has; both live on the body's surface, so that back and sleeves have them too.

Cuts are the vocabulary's: a t-shirt ends on the upper arm, a turtleneck covers the neck, a suit opens over shirt and
tie. Below, the garment ends where the photographed one does, or at the hips: over a dress, whose skirt goes on below.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from perse.body.animation.drawing import draw_person
from perse.body.animation.dressed import DressedPerson
from perse.body.editing.edited import EditedPerson, no_points
from perse.body.fitting.dressing import loose_by_thickness
from perse.body.fitting.fill import LEAST, SEEN, UNSEEN_COLOR
from perse.body.fitting.layer import smooth_normals
from perse.body.fitting.person import FittedPerson
from perse.body.fitting.texture import sampled
from perse.body.model import BodyJoint, BodyRegion, body_regions, in_regions, shaped_body
from perse.body.model.covers import Cover
from perse.curves import smoothstep
from perse.data import AttributePrompt
from perse.synthesis.procedural.editing.canvas import to_rgb
from perse.synthesis.procedural.editing.cloth import color_of, woven
from perse.synthesis.prompts import complete

Floats = NDArray[np.float32]

UNIT_M = 0.3
"""Patterns are made for portraits, in face widths; on a body that is seen from afar they are twice as wide."""
LIGHT = (-0.3, 0.5, 0.8)
"""From above, in front and a little from the person's right."""
AMBIENT = 0.82
FOLDS = 0.07
"""How much folds brighten and darken."""
HEM_M, DRESS_M = 0.06, 0.15
"""A garment ends so far below the hip joints where the photographed one goes on for so much more: over a dress it was a
swimsuit. Of a long jumper nothing is to show below it."""
LOWEST = 0.02
"""Quantile of the photographed garment's heights at which it ends."""
UPPER_BODY = (BodyRegion.TORSO, BodyRegion.UPPER_ARM, BodyRegion.FOREARM, BodyRegion.NECK)


@dataclass(frozen=True)
class GarmentKind:
    """A kind of garment.

    Attributes:
        sleeve: share of the arm, from shoulder to wrist, that it covers.
        neck: share of the neck that it covers, from below.
        off_m: how far it stands off arms and neck.
        more_m: how much further than the photographed garment it stands off the trunk.
        open_m: depth of the opening below the neck, metres: skin, or the shirt below a suit.
    """

    sleeve: float
    neck: float
    off_m: float
    more_m: float
    open_m: float = 0.0


CUTS = {
    "t-shirt": GarmentKind(sleeve=0.33, neck=0.0, off_m=0.010, more_m=0.0),
    "shirt": GarmentKind(sleeve=0.97, neck=0.25, off_m=0.009, more_m=0.0, open_m=0.03),
    "hoodie": GarmentKind(sleeve=0.97, neck=0.35, off_m=0.016, more_m=0.008),
    "turtleneck": GarmentKind(sleeve=0.97, neck=0.75, off_m=0.008, more_m=0.0),
    "suit": GarmentKind(sleeve=0.95, neck=0.15, off_m=0.013, more_m=0.006, open_m=0.26),
}
VEE_M = 0.11
"""Depth of a v-neck."""
TIE_M, LAPEL_M = 0.022, 0.03
SOFT_M = 0.006
"""Half the width of an edge between colours: what lies between two points of the surface cannot be sharper."""


def wear_garment(person: FittedPerson, prompt: AttributePrompt) -> EditedPerson:
    """The person in the prompt's garment.

    Raises:
        PromptError: a slot or value that is not in the vocabulary.
    """
    slots = complete(prompt.category, dict(prompt.attributes))
    cut, dressed = CUTS[slots["garment"]], person.dressed
    skin = shaped_body(dressed.model, dressed.parameters)
    surface = _Surface.of(person, skin)
    opening = VEE_M if slots.get("collar") == "v-neck" else cut.open_m
    cloth = surface.covered(cut) & (
        (surface.opening_m(opening) < 0) if slots["garment"] != "suit" else torch.ones_like(surface.upper)
    )
    changed = cloth | (surface.upper & (dressed.covers == Cover.UPPER))
    bare = changed & ~cloth
    covers = torch.where(cloth, int(Cover.UPPER), torch.where(bare, int(Cover.SKIN), dressed.covers))

    before = dressed.thickness_m
    wanted = torch.where(surface.trunk, before.clamp(min=cut.off_m) + cut.more_m, torch.full_like(before, cut.off_m))
    thickness = torch.where(cloth, wanted, torch.where(bare, torch.zeros_like(before), before))
    # What was dressed may stand on a skirt's sheet instead of the skin.
    stood = torch.where(
        (cloth & surface.trunk & (dressed.covers == Cover.UPPER))[:, None],
        dressed.rest - before[:, None] * surface.normals,
        surface.skin,
    )
    rest = torch.where(changed[:, None], stood + thickness[:, None] * surface.normals, dressed.rest)
    looseness = torch.where(changed, loose_by_thickness(thickness) * cloth, dressed.looseness)

    photographed = sampled(person.image, dressed.photo_px)
    seen = torch.where(changed, torch.zeros_like(dressed.seen), dressed.seen)
    bare_colors = surface.bare(photographed, (covers == Cover.SKIN) & (seen > SEEN), prompt.seed)
    fabric = surface.fabric(slots, opening, prompt.seed)
    fill = torch.where(cloth[:, None], fabric, torch.where(bare[:, None], bare_colors, dressed.fill))
    edited = replace(
        dressed, rest=rest, thickness_m=thickness, looseness=looseness, covers=covers, seen=seen, fill=fill
    )
    colors = seen[:, None] * photographed + (1 - seen[:, None]) * fill
    return EditedPerson(
        prompt, edited, changed, colors, no_points(dressed.skinning.shape[1]), _redrawn(person, edited, changed)
    )


def _redrawn(person: FittedPerson, edited: DressedPerson, changed: Tensor) -> NDArray[np.uint8]:
    """The photograph with the edited surface over it, where anything has changed."""
    marked = replace(edited, seen=torch.zeros_like(edited.seen), fill=changed.float()[:, None].expand(-1, 3))
    points = edited.posed(edited.parameters)
    share = draw_person(marked, points, edited.camera)
    drawn = draw_person(edited, points, edited.camera)
    # White is what both pictures have where nobody is.
    weight = (share.image[..., :1] / 255.0) * (share.alpha[..., None] / 255.0)
    return np.round((1 - weight) * person.image + weight * drawn.image).clip(0, 255).astype(np.uint8)


@dataclass(frozen=True)
class _Surface:
    """Where on the body the points are, without clothes.

    Attributes:
        skin, normals: [n, 3], rest pose.
        region: [n] values of `BodyRegion`.
        upper, trunk: [n] bool; the trunk is torso and what of the photographed garment lies below it.
        along: [n], share of the way from shoulder to wrist; of the neck from below. 0 on the trunk.
        across_m, down_m: [n], coordinates of the cloth.
        joints: [55, 3].
    """

    skin: Float[Tensor, "n 3"]
    normals: Float[Tensor, "n 3"]
    region: Int[Tensor, " n"]
    upper: Bool[Tensor, " n"]
    trunk: Bool[Tensor, " n"]
    along: Float[Tensor, " n"]
    across_m: Float[Tensor, " n"]
    down_m: Float[Tensor, " n"]
    joints: Float[Tensor, "55 3"]

    @classmethod
    def of(cls, person: FittedPerson, skin: Tensor) -> _Surface:
        dressed = person.dressed
        model, fine = dressed.model, dressed.fine
        kinds = torch.nn.functional.one_hot(body_regions(model), len(BodyRegion)).float()
        region = fine.of(kinds).argmax(1)
        joints = model.joint_regressor @ skin
        points = fine.of(skin)
        normals = torch.nn.functional.normalize(fine.of(smooth_normals(skin, model.faces)), dim=-1)
        worn = _above_hem(dressed.covers == Cover.UPPER, points, joints)
        upper = in_regions(region, *UPPER_BODY) | worn
        limb = in_regions(region, BodyRegion.UPPER_ARM, BodyRegion.FOREARM)
        neck = region == BodyRegion.NECK
        along, around, down = _limbs(points, joints, limb)
        rise = (points[:, 1] - joints[BodyJoint.NECK, 1]) / (joints[BodyJoint.HEAD, 1] - joints[BodyJoint.NECK, 1])
        middle = joints[BodyJoint.SPINE2]
        angle = torch.atan2(points[:, 0] - middle[0], points[:, 2] - middle[2])
        return cls(
            skin=points, normals=normals, region=region, upper=upper, trunk=upper & ~limb & ~neck,
            along=torch.where(limb, along, torch.where(neck, rise, torch.zeros_like(rise))),
            across_m=torch.where(limb, around, 0.17 * angle),
            down_m=torch.where(limb, down, joints[BodyJoint.NECK, 1] - points[:, 1]), joints=joints,
        )  # fmt: skip

    def covered(self, cut: GarmentKind) -> Tensor:
        """[n] bool: what the garment lies on, but for its opening."""
        limb = in_regions(self.region, BodyRegion.UPPER_ARM, BodyRegion.FOREARM)
        neck = self.region == BodyRegion.NECK
        return self.upper & torch.where(limb, self.along < cut.sleeve, torch.where(neck, self.along < cut.neck, True))

    def opening_m(self, depth_m: float) -> Tensor:
        """[n] metres inside the opening in front, which narrows from the neck downwards; negative outside."""
        if depth_m <= 0:
            return torch.full_like(self.down_m, -1.0)
        pit = self.joints[BodyJoint.NECK] + torch.tensor([0.0, -0.02, 0.0])
        down = pit[1] - self.skin[:, 1]
        half = 0.075 * (1 - down / depth_m)
        inside = torch.minimum(half - (self.skin[:, 0] - pit[0]).abs(), depth_m - down)
        front = (self.skin[:, 2] > pit[2]) & (self.normals[:, 2] > 0)
        return torch.where(front, inside, torch.full_like(inside, -1.0))

    def bare(self, photographed: Tensor, skin: Tensor, seed: int) -> Tensor:
        """[n, 3] in [0, 1]: plain skin, the middle colour of what the photograph shows of it [n], in diffuse light."""
        if int(skin.sum()) < LEAST:
            middle = torch.tensor(UNSEEN_COLOR[Cover.SKIN]) / 255
        else:
            middle = photographed[skin].median(0).values
        shade = torch.from_numpy(self._shade(seed, folds=0.0))
        return (shade[:, None] * middle).clamp(0, 1)

    def fabric(self, slots: dict[str, str], opening_m: float, seed: int) -> Tensor:
        """[n, 3] in [0, 1]: colours of the cloth in diffuse light."""
        color, accent = slots.get("color", "navy"), slots.get("accent", "")
        pattern = slots.get("pattern", "plain")
        across, down = ((place / UNIT_M).numpy().astype(np.float32) for place in (self.across_m, self.down_m))
        if slots["garment"] == "suit":
            lab = self._suit(color, accent, opening_m)
        elif pattern == "plain" or not accent:
            lab = np.broadcast_to(color_of(color), (len(across), 3)).astype(np.float32)
        else:
            along = pattern == "striped" and slots["garment"] == "shirt"
            lab = woven(across, down, "pinstriped" if along else pattern, color, accent)
        shade = self._shade(seed)
        lab = np.concatenate([lab[:, :1] * shade[:, None], lab[:, 1:]], 1)
        return torch.from_numpy(to_rgb(lab[None].astype(np.float32))[0] / np.float32(255))

    def _suit(self, color: str, accent: str, opening_m: float) -> Floats:
        """A jacket that opens over a white shirt with a tie."""
        inside = self.opening_m(opening_m).numpy()
        from_middle = np.abs((self.skin[:, 0] - self.joints[BodyJoint.NECK, 0]).numpy())
        lab = np.broadcast_to(color_of(color), (len(inside), 3)).astype(np.float32)
        lapel = color_of(color) * np.array([0.72, 1, 1], np.float32)
        for within, own in (
            (inside + LAPEL_M, lapel), (inside, color_of("white")),
            (np.minimum(inside, TIE_M - from_middle), color_of(accent or "red")),
        ):  # fmt: skip
            share = smoothstep(within.astype(np.float32), -SOFT_M, SOFT_M)[:, None]
            lab = lab + share * (own - lab)
        return lab.astype(np.float32)

    def _shade(self, seed: int, folds: float = FOLDS) -> Floats:
        """[n]: light from above, and folds: a few waves in space."""
        light = torch.nn.functional.normalize(torch.tensor(LIGHT), dim=0)
        shade = AMBIENT + (1 - AMBIENT) * (self.normals @ light).clamp(min=-0.4).numpy() / 0.8
        rng = np.random.default_rng(seed)
        height = np.zeros(len(shade))
        for _ in range(6):
            direction = rng.normal(size=3) * np.array([1.0, 0.7, 1.0])
            height += np.sin(2 * np.pi * self.skin.numpy() @ direction * rng.uniform(2.0, 5.0) + rng.uniform(0, 6.3))
        return np.asarray(shade * (1 + folds * height / 6**0.5), np.float32)


def _above_hem(worn: Tensor, points: Tensor, joints: Tensor) -> Tensor:
    """[n], what of the photographed garment the new one takes the place of."""
    hem = joints[[BodyJoint.LEFT_HIP, BodyJoint.RIGHT_HIP], 1].mean() - HEM_M
    if not bool(worn.any()) or float(points[worn, 1].quantile(LOWEST)) > float(hem) - DRESS_M:
        return worn
    return worn & (points[:, 1] > hem)


def _limbs(points: Tensor, joints: Tensor, limb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of points on arms: share of the way from shoulder to wrist [n], metres around [n] and along [n]."""
    along, around, down = (torch.zeros(len(points)) for _ in range(3))
    for side in ("LEFT", "RIGHT"):
        start, end = joints[BodyJoint[f"{side}_SHOULDER"]], joints[BodyJoint[f"{side}_WRIST"]]
        own = limb & ((points[:, 0] > 0) == bool(start[0] > 0))
        axis = torch.nn.functional.normalize(end - start, dim=0)
        offset = points[own] - start
        length = (end - start).norm()
        way = offset @ axis
        first = torch.nn.functional.normalize(torch.linalg.cross(axis, torch.tensor([0.0, 0.0, 1.0])), dim=0)
        second = torch.linalg.cross(axis, first)
        across = offset - way[:, None] * axis
        along[own], down[own] = way / length, way
        around[own] = 0.05 * torch.atan2(across @ second, across @ first)
    return along, around, down
