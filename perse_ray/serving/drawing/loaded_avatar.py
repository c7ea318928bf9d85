"""One avatar in memory, ready to draw: canonical Gaussians cached by latent code, several pictures in one call."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perse.avatar import Avatar, CanonicalGaussians, load_avatar
from perse.export.provenance import Provenance
from perse.export.scene import SplatScene, drawable
from perse.export.views import head_centre, orbit
from perse.gaussians import Gaussians
from perse.geometry import Camera
from perse.head import HeadParameters
from perse_ray.serving.drawing.attribute_mixes import Wardrobe
from perse_ray.serving.drawing.encoders import WITHOUT_WEIGHTS, Encoders
from perse_ray.serving.schema.errors import check_names
from perse_ray.serving.schema.requests import (
    Appearance,
    Attributes,
    AvatarInfo,
    OrbitCamera,
    RenderRequest,
    SubjectInfo,
)

if TYPE_CHECKING:
    from perse.export import ExportFormat

CACHED_CODES = 32
"""Canonical Gaussians that an avatar keeps: 1.2 MB each for 15,000 points."""


class LoadedAvatar:
    """One avatar in memory. Its methods may be called from several threads."""

    def __init__(self, avatar: Avatar, encoders: Encoders = WITHOUT_WEIGHTS) -> None:
        """
        Args:
            encoders: for attributes that are described.
        """
        from perse.render import CpuRasterizer, GsplatRasterizer

        on_gpu = torch.cuda.is_available()
        self.avatar = avatar.to("cuda" if on_gpu else "cpu").eval()
        self.rasterizer = GsplatRasterizer() if on_gpu else CpuRasterizer()
        self._wardrobe = Wardrobe(self.avatar, encoders)
        self._canonical: OrderedDict[bytes, CanonicalGaussians] = OrderedDict()
        self._one_at_a_time = Lock()  # two frames at once would share the cores and both take twice as long

    @classmethod
    def load(cls, folder: Path, encoders: Encoders = WITHOUT_WEIGHTS) -> LoadedAvatar:
        """
        Raises:
            InputError: the folder holds no readable avatar.
        """
        loaded = cls(load_avatar(folder), encoders)
        loaded.render(RenderRequest())  # kernels are compiled, or read from disk, before anybody waits for a picture
        return loaded

    @property
    def mib(self) -> float:
        """Memory that it takes with its cache full."""
        own = sum(values.nbytes for values in self.avatar.state_dict().values())
        canonical = 4 * self.avatar.n_gaussians * (14 + len(self.avatar.skeleton.parents))
        return (own + CACHED_CODES * canonical) / 2**20

    def info(self, name: str) -> AvatarInfo:
        card = self.avatar.card
        subjects = [SubjectInfo(id=s.key, category=s.category, text=s.text) for s in self.avatar.subjects if s.category]
        return AvatarInfo(
            id=name,
            identity=card.key,
            subjects=subjects,
            expressions=list(card.expression_names),
            joints=list(card.joint_names),
            gaussians=self.avatar.n_gaussians,
        )

    def render(self, request: RenderRequest) -> NDArray[np.uint8]:
        """A picture [h, w, 3] uint8, or [h, w, 4] (not premultiplied) without a background.

        Raises:
            UnknownName: the request names a subject, expression or joint that the avatar does not have.
        """
        return self.render_many([request])[0]

    def render_many(self, requests: Sequence[RenderRequest]) -> list[NDArray[np.uint8]]:
        """As `render`, for several at once: those of one size and background share one call of the rasterizer."""
        groups: dict[tuple[object, ...], list[int]] = {}
        for number, request in enumerate(requests):
            groups.setdefault((request.width, request.height, request.background), []).append(number)
        pictures: dict[int, NDArray[np.uint8]] = {}
        for members in groups.values():
            drawn = self._draw([requests[number] for number in members])
            pictures.update(zip(members, drawn, strict=True))
        return [pictures[number] for number in range(len(requests))]

    def check(self, look: Appearance) -> None:
        """
        Raises:
            UnknownName: as `render`.
        """
        self.code(look.attributes)
        self.parameters([look])

    def export(self, look: Appearance, format: ExportFormat) -> bytes:
        """The avatar with this look, in a format for other programs, with its provenance inside."""
        from perse.export import export_bytes

        return export_bytes(self.frozen(look), format, self.provenance([look.attributes]))

    def frozen(self, look: Appearance) -> SplatScene:
        """The Gaussians of a look, in its expression and pose."""
        code, parameters = self.code(look.attributes), self.parameters([look])
        with torch.inference_mode(), self._one_at_a_time:
            posed = self._posed([code], parameters).to("cpu", torch.float32)
        home = self.avatar.card.camera.to("cpu", torch.float32)
        return SplatScene(drawable(posed), 25.0, home, head_centre(self.avatar))

    def provenance(self, worn: Sequence[Attributes], *, dated: bool = True) -> Provenance:
        """What media that show these attributes say about themselves."""
        edits = {edit for attributes in worn for edit in self._wardrobe.edits(attributes)}
        ordered = tuple(sorted(edits, key=lambda edit: (edit.category, edit.subject, edit.weight)))
        made = datetime.now(UTC).isoformat(timespec="seconds") if dated else ""
        return Provenance(self.avatar.card.key, ordered, made)

    def code(self, attributes: Attributes) -> Tensor:
        """z [k, d] of what is worn.

        Raises:
            UnknownName: a subject is not known, several answer to its words, or a description cannot be understood.
        """
        return self._wardrobe.code(attributes)

    def _draw(self, requests: Sequence[RenderRequest]) -> list[NDArray[np.uint8]]:
        """Pictures of one size and background."""
        from perse.render import rasterize

        codes = [self.code(request.attributes) for request in requests]
        cameras = _stacked([self._camera(request) for request in requests]).to(codes[0].device)
        background = None
        if requests[0].background is not None:
            background = torch.tensor(requests[0].background, dtype=torch.float32, device=codes[0].device) / 255
        with torch.inference_mode(), self._one_at_a_time:
            gaussians = self._posed(codes, self.parameters(requests))
            drawn = rasterize(gaussians, cameras, background=background, rasterizer=self.rasterizer)
            colors = drawn.colors
            if background is None:
                alpha = drawn.alphas[..., None]
                colors = torch.cat([colors / alpha.clamp_min(1e-6), alpha], -1)
            return list((colors.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy())

    def _posed(self, codes: Sequence[Tensor], parameters: HeadParameters) -> Gaussians:
        """Gaussians [f, n]: every distinct code is posed once with all of its frames."""
        motion = self.avatar.skeleton(parameters)
        keys = [code.cpu().numpy().tobytes() for code in codes]
        parts, order = [], []
        for key in dict.fromkeys(keys):
            frames = [number for number, own in enumerate(keys) if own == key]
            parts.append(self.avatar.pose(self._canonicalised(key, codes[frames[0]]), motion[torch.tensor(frames)]))
            order += frames
        if len(parts) == 1:
            return parts[0]
        back = torch.tensor(order).argsort()
        fields = ("means", "quats", "scales", "opacities", "colors")
        return Gaussians(*(torch.cat([getattr(part, name) for part in parts])[back] for name in fields))

    def _canonicalised(self, key: bytes, code: Tensor) -> CanonicalGaussians:
        if key not in self._canonical:
            self._canonical[key] = self.avatar.canonicalise(code).detach()
            if len(self._canonical) > CACHED_CODES:
                self._canonical.popitem(last=False)
        self._canonical.move_to_end(key)
        return self._canonical[key]

    def parameters(self, looks: Sequence[Appearance]) -> HeadParameters:
        """Expression and pose of f looks.

        Raises:
            UnknownName: an expression or a joint is not known.
        """
        card = self.avatar.card
        expressions, joints = list(card.expression_names), list(card.joint_names)
        expression = torch.zeros(len(looks), self.avatar.skeleton.n_expression)
        pose = torch.zeros(len(looks), len(joints), 3)
        for frame, look in enumerate(looks):
            check_names("expression", set(look.expression), expressions)
            check_names("joint", set(look.pose), joints)
            for name, value in look.expression.items():
                expression[frame, expressions.index(name)] = value
            for name, turn in look.pose.items():
                pose[frame, joints.index(name)] = torch.tensor(turn)
        return HeadParameters(torch.zeros(0), torch.zeros(0, 3), expression, pose)

    def _camera(self, request: RenderRequest) -> Camera:
        asked = request.camera
        if isinstance(asked, OrbitCamera):
            home = self.avatar.card.camera.to("cpu", torch.float32).resized(request.width, request.height)
            yaw, pitch = np.radians(asked.yaw_deg), np.radians(asked.pitch_deg)
            return orbit(home, head_centre(self.avatar), float(yaw), float(pitch), asked.zoom)
        return Camera(
            torch.tensor(asked.world_to_camera), torch.tensor(asked.intrinsics), request.width, request.height
        )  # fmt: skip


def _stacked(cameras: Sequence[Camera]) -> Camera:
    """Cameras of one size as a batch."""
    return Camera(
        torch.stack([camera.world_to_camera for camera in cameras]),
        torch.stack([camera.intrinsics for camera in cameras]),
        cameras[0].width,
        cameras[0].height,
    )
