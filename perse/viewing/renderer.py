"""Renderer of one avatar: looks resolved once, canonical Gaussians cached by code, several pictures in one call."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from perse.avatar import Avatar, CanonicalGaussians
from perse.errors import UnknownName
from perse.export.provenance import Edit, Provenance
from perse.export.scene import SplatScene, drawable
from perse.export.views import orbit, orbit_centre, seen_reach_deg
from perse.gaussians import Gaussians
from perse.geometry import Camera
from perse.head import HeadParameters
from perse.viewing.attribute_mixes import AttributeMixer
from perse.viewing.encoders import WITHOUT_WEIGHTS, Encoders
from perse.viewing.looks import Look, PictureRequest

if TYPE_CHECKING:
    from perse.export import ExportFormat

Value = TypeVar("Value")

CACHED_CODES = 32
"""Canonical Gaussians that an avatar keeps: 1.2 MB each for 15,000 points."""


@dataclass(frozen=True)
class ResolvedLook:
    """A look in an avatar's own terms: every name has been looked up.

    Attributes:
        code: z [k, d].
        edits: what differs from the portrait, for the record.
        frame: expression and pose of a single frame.
    """

    code: Float[Tensor, "k d"]
    edits: tuple[Edit, ...]
    frame: HeadParameters


class AvatarRenderer:
    """Renderer of an avatar. Its methods may be called from several threads."""

    def __init__(self, avatar: Avatar, encoders: Encoders = WITHOUT_WEIGHTS) -> None:
        """
        Args:
            avatar: it is moved to the GPU if there is one.
            encoders: for attributes that are described.
        """
        from perse.render import CpuRasterizer, GsplatRasterizer

        on_gpu = torch.cuda.is_available()
        self.avatar = avatar.to("cuda" if on_gpu else "cpu").eval()
        self.rasterizer = GsplatRasterizer() if on_gpu else CpuRasterizer()
        self.mixer = AttributeMixer(self.avatar, encoders)
        self._canonical: OrderedDict[bytes, CanonicalGaussians] = OrderedDict()
        self._one_at_a_time = Lock()  # two frames at once would share the cores and both take twice as long

    @property
    def mib(self) -> float:
        """Size in memory with its cache full, MiB."""
        own = sum(values.nbytes for values in self.avatar.state_dict().values())
        canonical = 4 * self.avatar.n_gaussians * (14 + len(self.avatar.skeleton.parents))
        return (own + CACHED_CODES * canonical) / 2**20

    def resolve(self, look: Look) -> ResolvedLook:
        """Resolved look: every name looked up, its code mixed.

        Raises:
            UnknownName: a subject, an expression or a joint is not known, several subjects answer to a name, or a
                description cannot be understood.
        """
        code, edits = self.mixer.mixed(look.edits)
        card = self.avatar.card
        expression = torch.zeros(self.avatar.skeleton.n_expression)
        pose = torch.zeros(len(card.joint_names), 3)
        for name, value in checked_names("expression", look.expression, card.expression_names).items():
            expression[card.expression_names.index(name)] = value
        for name, turn in checked_names("joint", look.pose, card.joint_names).items():
            pose[card.joint_names.index(name)] = torch.tensor(turn)
        return ResolvedLook(code, edits, HeadParameters(torch.zeros(0), torch.zeros(0, 3), expression, pose))

    def draw(
        self, requests: Sequence[PictureRequest], looks: Sequence[ResolvedLook]
    ) -> list[UInt8[NDArray[np.uint8], "_ _ c"]]:
        """Pictures [h, w, 3] uint8, or [h, w, 4] (not premultiplied) without a background.

        Args:
            requests: cameras, sizes and backgrounds; those of one size and background share a call of the rasterizer.
            looks: what `resolve` said of the requests' looks.
        """
        groups: dict[tuple[object, ...], list[int]] = {}
        for number, request in enumerate(requests):
            groups.setdefault((request.width, request.height, request.background), []).append(number)
        pictures: dict[int, NDArray[np.uint8]] = {}
        for members in groups.values():
            drawn = self._drawn([requests[number] for number in members], [looks[number] for number in members])
            pictures.update(zip(members, drawn, strict=True))
        return [pictures[number] for number in range(len(requests))]

    def picture(self, request: PictureRequest) -> UInt8[NDArray[np.uint8], "h w c"]:
        """One picture, as `draw`.

        Raises:
            UnknownName: as `resolve`.
        """
        return self.draw([request], [self.resolve(request.look)])[0]

    def frozen(self, look: ResolvedLook) -> SplatScene:
        """Gaussians of a look, in its expression and pose."""
        with torch.inference_mode(), self._one_at_a_time:
            posed = self._posed([look]).to("cpu", torch.float32)
        home = self.avatar.card.camera.to("cpu", torch.float32)
        return SplatScene(drawable(posed), 25.0, home, orbit_centre(self.avatar))

    def export(self, look: ResolvedLook, format: ExportFormat) -> bytes:
        """Content of a file for other programs with this look, with its provenance inside."""
        from perse.export import export_bytes

        return export_bytes(self.exported(look), format, self.provenance([look]))

    def exported(self, look: ResolvedLook) -> SplatScene:
        """Gaussians of `frozen` without those that no view of another program is likely to show."""
        from perse.export.visibility import without_unseen

        scene = self.frozen(look)
        with self._one_at_a_time:
            return without_unseen(scene, seen_reach_deg(self.avatar)).scene

    def provenance(self, looks: Sequence[ResolvedLook], *, dated: bool = True) -> Provenance:
        """Provenance of media that show these looks."""
        edits = {edit for look in looks for edit in look.edits}
        ordered = tuple(sorted(edits, key=lambda edit: (edit.category, edit.subject, edit.weight)))
        made = datetime.now(UTC).isoformat(timespec="seconds") if dated else ""
        return Provenance(self.avatar.card.key, ordered, made)

    def forget(self) -> None:
        """Empty the cache of canonical Gaussians."""
        self._canonical.clear()

    def _drawn(self, requests: Sequence[PictureRequest], looks: Sequence[ResolvedLook]) -> list[NDArray[np.uint8]]:
        """Pictures of one size and background."""
        from perse.render import rasterize

        device = looks[0].code.device
        cameras = _stacked([self._camera(request) for request in requests]).to(device)
        background = None
        if requests[0].background is not None:
            background = torch.tensor(requests[0].background, dtype=torch.float32, device=device) / 255
        with torch.inference_mode(), self._one_at_a_time:
            seen = self.avatar.seen_from(cameras, self._posed(looks))
            drawn = rasterize(seen, cameras, background=background, rasterizer=self.rasterizer)
            colors = drawn.colors
            if background is None:
                alpha = drawn.alphas[..., None]
                colors = torch.cat([colors / alpha.clamp_min(1e-6), alpha], -1)
            return list((colors.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy())

    def _posed(self, looks: Sequence[ResolvedLook]) -> Gaussians:
        """Gaussians [f, n]: every distinct code is posed once with all of its frames."""
        motion = self.avatar.skeleton(_joined([look.frame for look in looks]))
        keys = [look.code.cpu().numpy().tobytes() for look in looks]
        parts, order = [], []
        for key in dict.fromkeys(keys):
            frames = [number for number, own in enumerate(keys) if own == key]
            canonical = self._canonicalised(key, looks[frames[0]].code)
            parts.append(self.avatar.pose(canonical, motion[torch.tensor(frames)]))
            order += frames
        if len(parts) == 1:
            return parts[0]
        back = torch.tensor(order).argsort()
        names = [field.name for field in fields(Gaussians)]
        return Gaussians(*(torch.cat([getattr(part, name) for part in parts])[back] for name in names))

    def _canonicalised(self, key: bytes, code: Tensor) -> CanonicalGaussians:
        if key not in self._canonical:
            self._canonical[key] = self.avatar.canonicalise(code).detach()
            if len(self._canonical) > CACHED_CODES:
                self._canonical.popitem(last=False)
        self._canonical.move_to_end(key)
        return self._canonical[key]

    def _camera(self, request: PictureRequest) -> Camera:
        if isinstance(request.camera, Camera):
            return request.camera.to("cpu", torch.float32)
        asked = request.camera
        home = self.avatar.card.camera.to("cpu", torch.float32).resized(request.width, request.height)
        yaw, pitch = np.radians(asked.yaw_deg), np.radians(asked.pitch_deg)
        return orbit(home, orbit_centre(self.avatar), float(yaw), float(pitch), asked.zoom)


def checked_names(kind: str, asked: Mapping[str, Value], known: Sequence[str]) -> Mapping[str, Value]:
    """Names that are asked for, if all of them are known.

    Raises:
        UnknownName: some are not; the message lists those that are.
    """
    unknown = sorted(set(asked) - set(known))
    if unknown:
        some = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
        raise UnknownName(f"unknown {kind} {', '.join(unknown[:5])}; known are {some or 'none'}")
    return asked


def _joined(frames: Sequence[HeadParameters]) -> HeadParameters:
    """Single frames as a motion of f."""
    expression = torch.stack([frame.expression for frame in frames])
    pose = torch.stack([frame.pose for frame in frames])
    return HeadParameters(frames[0].betas, frames[0].vertex_offsets, expression, pose)


def _stacked(cameras: Sequence[Camera]) -> Camera:
    """Cameras of one size as a batch."""
    return Camera(
        torch.stack([camera.world_to_camera for camera in cameras]),
        torch.stack([camera.intrinsics for camera in cameras]),
        cameras[0].width,
        cameras[0].height,
    )
