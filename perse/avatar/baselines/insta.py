"""Conditional INSTA (Zielonka et al., CVPR 2023, made conditional by P 5.1): a radiance field around a moving mesh.

::

    ray of a frame ── samples x ── nearest surface point i ── x_c = M_i⁻¹ x − shift_i      back to the rest pose
    hash grid(x_c), z ── MLP ──► density, colour ── quadrature ──► picture

INSTA takes the way back from the nearest triangle of the head model; here it is the nearest of the points that the
other decoders start from, which also lie on hair and clothes, where INSTA's mesh has nothing. Farther than `reach_m`
from all of them is empty space (its occupancy grid). Colours do not depend on the view. A step draws a window of its
pictures, the same loss over fewer pixels: to draw a whole one takes a CPU seconds.

It has no Gaussians. `pose` gives its surface points, coloured by the field, for measurements of motion and previews;
pictures are made by `draw`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from torch import Tensor, nn
from torch.nn.functional import softplus

from perse.attributes import CATEGORIES
from perse.avatar.baselines.hash_grid import HashGrid
from perse.avatar.baselines.volume import Rays, composite, middles, rays_near
from perse.avatar.canonical import COLOR, LOG_SCALE, MEAN, QUAT, CanonicalGaussians
from perse.avatar.decoder import Decoder, Window, layers_flop
from perse.avatar.deformation import blended_turns, deform, displace
from perse.avatar.mlp import ConditionedMLP
from perse.avatar.motion import FrameMotion
from perse.avatar.points import StartingPoints
from perse.errors import RecipeError
from perse.gaussians import Gaussians
from perse.geometry import Camera, quaternion_to_matrix
from perse.render import Rasterizer, Rendering

DENSITY_UNIT = 300.0
"""Density, per metre, of a network output of softplus 1: a few millimetres are opaque."""

_BEGIN_STEPS, _BEGIN_POINTS = 60, 4096
"""Of the fit that the field begins with: a second at a width of 64."""
_SKIN_M = 0.002
"""Half of the surface's thickness, metres."""
_CODES = 0.05
"""Deviation of the codes under which it is fitted, that of untrained latents (P 4.1)."""

FACING = -0.1
"""Cosine towards the camera from which a surface point counts as in front: what is behind is never seen."""


@dataclass(frozen=True, kw_only=True)
class InstaConfig:
    """Sizes of field and sampling; the network's default is the paper's 512 × 4."""

    kind: ClassVar[str] = "insta"

    width: int = 512
    """Width of the MLP."""
    depth: int = 4
    """Hidden layers of the MLP."""
    levels: int = 8
    """Levels of the hash grid."""
    features: int = 2
    """Features of a level."""
    rows: int = 2**15
    """Rows of a level's table."""
    coarsest: int = 16
    """Cells of the coarsest level along an edge of the box."""
    finest: int = 256
    """Cells of the finest level."""
    samples: int = 24
    """Samples of a ray between the first and the last surface point near it."""
    reach_m: float = 0.012
    """How far from the surface points there may be something, metres."""
    window_px: int = 48
    """Width and height of what a training step draws, pixels."""

    def build(self, latent_dimensions: int, start: StartingPoints, n_subjects: int) -> Insta:
        """The decoder; it needs no number of subjects."""
        return Insta(self, latent_dimensions, start)

    def training_flop(self, points: int) -> float:
        """Operations of a training image (`DecoderConfig`): those of a window's samples, whatever the points."""
        widths = [self.levels * self.features, *[self.width] * self.depth, 4]
        return layers_flop(self.window_px**2 * self.samples, widths)


class Insta(Decoder):
    """Radiance field in the rest pose, with the surface points that say how to get there."""

    surface: Float[Tensor, "n 14"]
    normals: Float[Tensor, "n 3"]
    skinning: Float[Tensor, "n j"]
    box: Float[Tensor, "2 3"]

    def __init__(self, config: InstaConfig, latent_dimensions: int, start: StartingPoints) -> None:
        super().__init__()
        self.config = config
        prior = start.prior
        self.register_buffer("surface", start.attributes.clone())
        self.register_buffer("normals", prior.normals.clone())
        self.register_buffer("blend_basis", prior.blend_basis.contiguous())
        self.register_buffer("skinning", prior.skinning.clone())
        self.register_buffer("regions", start.regions)
        low, high = prior.rest.amin(0) - config.reach_m, prior.rest.amax(0) + config.reach_m
        self.register_buffer("box", torch.stack([low, high]))
        self.features = HashGrid(config.levels, config.features, config.rows, config.coarsest, config.finest)
        self.field = ConditionedMLP(
            config.levels * config.features, len(CATEGORIES) * latent_dimensions, 4, hidden=config.width,
            depth=config.depth, activation=torch.relu,
        )  # fmt: skip
        for layer in (self.field.first.of_point, *self.field.hidden):
            assert isinstance(layer, nn.Linear)
            nn.init.kaiming_normal_(layer.weight)  # torch's default halves the features' signal in every layer
        if start.mesh is not None:  # a loaded avatar has its weights already
            self._begin(len(CATEGORIES) * latent_dimensions)

    @torch.enable_grad()
    def _begin(self, width: int) -> None:
        """Fit the field to the surface points: their colours, solid a little behind them and empty before them. The
        other decoders begin with these points' places and colours too."""
        rng, reach = torch.Generator().manual_seed(0), self.config.reach_m
        optimiser = torch.optim.Adam(self.parameters(), lr=1e-2, betas=(0.9, 0.99))
        for _ in range(_BEGIN_STEPS):
            chosen = torch.randint(len(self), (_BEGIN_POINTS,), generator=rng)
            off = (2 * torch.rand(len(chosen), generator=rng) - 1) * reach
            places = self.surface[chosen, MEAN] + off[:, None] * self.normals[chosen]
            unit = (places - self.box[0]) / (self.box[1] - self.box[0])
            codes = _CODES * torch.randn(width, generator=rng)
            out = self.field(self.features(unit)[None], codes[None])[0]
            wanted = torch.where(off < _SKIN_M, 2.0, -4.0)  # softplus: 2.1 and 0.02
            colors = self.surface[chosen, COLOR].clamp(-4, 4)
            loss = (out[:, 0] - wanted).square().mean() + (out[:, 1:] - colors).square().mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        for parameter in self.parameters():
            parameter.grad = None

    def __len__(self) -> int:
        """Number of surface points n."""
        return self.surface.shape[0]

    def canonicalise(self, codes: Float[Tensor, "s k d"], reference: Float[Tensor, "k d"]) -> CanonicalGaussians:
        """Canonical Gaussians at the surface points; `pose_condition` [s, 1, k · d] is z."""
        attributes = self.surface.expand(len(codes), *self.surface.shape)
        return CanonicalGaussians(attributes, self.blend_basis, self.skinning, codes.flatten(1)[:, None])

    def values(
        self, places: Float[Tensor, "n 3"], z: Float[Tensor, " kd"]
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 3"]]:
        """Density [n] per metre and colour [n, 3] of places [n, 3] in the rest pose under one code [k · d]."""
        unit = (places - self.box[0]) / (self.box[1] - self.box[0])
        out = self.field(self.features(unit)[None], z[None])[0]
        return DENSITY_UNIT * softplus(out[:, 0]), torch.sigmoid(out[:, 1:])

    def pose(self, canonical: CanonicalGaussians, motion: FrameMotion, of_frame: Int[Tensor, " f"]) -> Gaussians:
        """Gaussians [f, n] at the surface points, with the field's values there; see the module."""
        means, quats, _, _ = deform(
            self.surface[:, MEAN], self.surface[:, QUAT], self.blend_basis, self.skinning, motion
        )  # fmt: skip
        scales = self.surface[:, LOG_SCALE].exp()
        seen = [self.values(self.surface[:, MEAN], _code(canonical, s)) for s in of_frame.tolist()]
        opacities = torch.stack([1 - torch.exp(-density * self.config.reach_m / 2) for density, _ in seen])
        return Gaussians(means, quats, scales.expand_as(means), opacities, torch.stack([color for _, color in seen]))

    def draw(
        self, canonical: CanonicalGaussians, motion: FrameMotion, of_frame: Int[Tensor, " f"], camera: Camera,
        rasterizer: Rasterizer,
    ) -> Rendering:  # fmt: skip
        """Pictures of f frames, one after the other, on the CPU; no rasterizer is asked.

        Raises:
            RecipeError: the avatar is on another device.
        """
        if self.surface.device.type != "cpu":
            raise RecipeError(
                f"the INSTA baseline draws on the CPU only and is on {self.surface.device}; move it there"
            )
        frames = [
            self._frame(motion[index : index + 1], _code(canonical, subject), camera)
            for index, subject in enumerate(of_frame.tolist())
        ]
        return Rendering(*(torch.stack([getattr(one, name) for one in frames]) for name in _FIELDS))

    def _frame(self, motion: FrameMotion, z: Tensor, camera: Camera) -> Rendering:
        size = camera.height * camera.width
        with torch.no_grad():
            surface = _Surface(self, motion)
            rays = surface.rays(camera, self.config.reach_m)
            depths, lengths = middles(rays, self.config.samples)
            places, near = surface.back(rays, depths, camera, self.config.reach_m)
        # A window without anybody in it has a gradient as well, of zeros.
        densities = depths.new_zeros(depths.shape) + 0 * self.field.out.bias.sum()
        colors = depths.new_ones(*depths.shape, 3)
        if bool(near.any()):
            density, color = self.values(places, z)
            densities = densities.masked_scatter(near, density)
            colors = colors.masked_scatter(near[..., None].expand_as(colors), color)
        shown, alphas, weights = composite(densities, colors, lengths)
        image = torch.ones(size, 3).index_copy(0, rays.pixels, shown)
        alpha = torch.zeros(size).index_copy(0, rays.pixels, alphas)
        depth = torch.zeros(size).index_copy(0, rays.pixels, (weights * depths).sum(-1))
        shape = (camera.height, camera.width)
        return Rendering(image.view(*shape, 3), alpha.view(shape), depth.view(shape))

    def window(self, camera: Camera, rng: np.random.Generator) -> Window:
        """Square around a random surface point, where that is at rest: more of the person than of the white."""
        width, height = (min(self.config.window_px, side) for side in (camera.width, camera.height))
        point = self.surface[int(rng.integers(len(self))), MEAN]
        x, y = camera.project(point[None])[0][0].tolist()
        left = min(max(round(x - width / 2), 0), camera.width - width)
        top = min(max(round(y - height / 2), 0), camera.height - height)
        return Window(left, top, width, height)


def _code(canonical: CanonicalGaussians, subject: int) -> Tensor:
    """z [k · d] of one of the subjects, or of the only one."""
    codes = canonical.pose_condition
    return codes[subject, 0] if codes.ndim == 3 else codes[0]


_FIELDS = ("colors", "alphas", "depths")


class _Surface:
    """The surface points of one frame."""

    def __init__(self, field: Insta, motion: FrameMotion) -> None:
        _, shift = displace(field.surface[:, MEAN], field.blend_basis, motion)
        matrices = (field.skinning @ motion.transforms[0, :, :3].flatten(1)).unflatten(-1, (3, 4))
        self._rotations, self._origins, self._shift = matrices[..., :3], matrices[..., 3], shift[0]
        displaced = field.surface[:, MEAN] + self._shift
        self.points = (self._rotations @ displaced[..., None])[..., 0] + self._origins
        turns = quaternion_to_matrix(blended_turns(field.skinning, motion.turns)[0])
        self._normals = (turns @ field.normals[..., None])[..., 0]
        self._tree = cKDTree(self.points.numpy())

    def rays(self, camera: Camera, reach_m: float) -> Rays:
        """Where the points that face the camera are."""
        centre = -camera.world_to_camera[:3, :3].T @ camera.world_to_camera[:3, 3]
        towards = torch.nn.functional.normalize(centre - self.points, dim=-1)
        return rays_near(self.points[(self._normals * towards).sum(-1) > FACING], camera, reach_m)

    def back(self, rays: Rays, depths: Tensor, camera: Camera, reach_m: float) -> tuple[Tensor, Tensor]:
        """Rest places [m, 3] of the samples [r, k] that are near a surface point, and which [r, k] these are."""
        in_camera = (depths[..., None] * rays.directions[:, None]).flatten(0, 1)
        rotation, translation = camera.world_to_camera[:3, :3], camera.world_to_camera[:3, 3]
        places = (in_camera - translation) @ rotation  # Rᵀ (x − t), row by row
        _, nearest = self._tree.query(
            places.numpy(), distance_upper_bound=reach_m, workers=torch.get_num_threads()
        )  # fmt: skip
        found = torch.from_numpy(nearest)
        near = found < len(self.points)
        chosen = found[near]
        off = (places[near] - self._origins[chosen])[..., None]
        rest = torch.linalg.solve(self._rotations[chosen], off)[..., 0] - self._shift[chosen]
        return rest, near.view(depths.shape)
