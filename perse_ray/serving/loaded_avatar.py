"""Avatars ready to render: loaded once, canonical Gaussians cached by latent code."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perse.attributes import Category
from perse.avatar import Avatar, CanonicalGaussians, load_avatar
from perse.errors import InputError
from perse.geometry.camera import Camera
from perse.head import HeadParameters, Joint
from perse_ray.serving.requests import (
    AVATAR_ID,
    Appearance,
    AvatarInfo,
    OrbitCamera,
    RenderRequest,
    SubjectInfo,
    UnknownName,
    check_names,
)

if TYPE_CHECKING:
    from perse.export import ExportFormat

CACHED_CODES = 32
"""Canonical Gaussians that an avatar keeps: about 60 MB for 15,000 points."""


class AvatarLibrary(Protocol):
    """What the web application needs to know of avatars."""

    def ids(self) -> list[str]: ...

    def info(self, avatar: str) -> AvatarInfo:
        """
        Raises:
            KeyError: there is no such avatar.
        """
        ...

    def render(self, avatar: str, request: RenderRequest) -> NDArray[np.uint8]:
        """A picture [h, w, 3], or [h, w, 4] without a background. May be called from several threads.

        Raises:
            KeyError: there is no such avatar.
            UnknownName: the request names a subject, expression or joint that it does not have.
        """
        ...

    def export(self, avatar: str, look: Appearance, format: ExportFormat) -> bytes:
        """A file for other programs. May be called from several threads.

        Raises:
            KeyError, UnknownName: as `render`.
        """
        ...

    def splats(self, avatar: str, look: Appearance) -> bytes:
        """Gaussians for the viewer in a browser (`perse.export.columns.splat_message`); `version` tells of which state
        of the avatar. May be called from several threads.

        Raises:
            KeyError, UnknownName: as `render`.
        """
        ...


class LoadedAvatar:
    """One avatar in memory."""

    def __init__(self, avatar: Avatar) -> None:
        from perse.render import CpuRasterizer, GsplatRasterizer

        on_gpu = torch.cuda.is_available()
        self.avatar = avatar.to("cuda" if on_gpu else "cpu").eval()
        self.rasterizer = GsplatRasterizer() if on_gpu else CpuRasterizer()
        self._codes = avatar.subject_codes().detach()
        self._canonical: OrderedDict[str, CanonicalGaussians] = OrderedDict()
        self._one_at_a_time = Lock()  # numba's default threading layer serves one caller

    @classmethod
    def load(cls, folder: Path) -> LoadedAvatar:
        """
        Raises:
            InputError: the folder holds no readable avatar.
        """
        loaded = cls(load_avatar(folder))
        loaded.render(RenderRequest())  # kernels are compiled, or read from disk, before anybody waits for a picture
        return loaded

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
        """A picture [h, w, 3] uint8, or [h, w, 4] (not premultiplied) without a background."""
        from perse.render import rasterize

        code = self._code(request.attributes)
        parameters = self._parameters(request)
        camera = self._camera(request).to(code.device)
        background = None
        if request.background is not None:
            background = torch.tensor(request.background, dtype=torch.float32, device=code.device) / 255
        with torch.inference_mode(), self._one_at_a_time:
            gaussians = self.avatar.pose(self._canonicalised(code), parameters)
            drawn = rasterize(gaussians[0], camera, background=background, rasterizer=self.rasterizer)
            colors = drawn.colors
            if background is None:
                alpha = drawn.alphas[..., None]
                colors = torch.cat([colors / alpha.clamp_min(1e-6), alpha], -1)
            return (colors.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()

    def export(self, look: Appearance, format: ExportFormat) -> bytes:
        """The avatar with this look, in a format for other programs, with its provenance inside."""
        from perse.export import Provenance, export_bytes, freeze

        code, parameters = self._code(look.attributes), self._parameters(look)
        with self._one_at_a_time:
            scene = freeze(self.avatar, code, parameters)
        made = datetime.now(UTC).isoformat(timespec="seconds")
        return export_bytes(scene, format, Provenance.of(self.avatar, [look.attributes], made))

    def splats(self, look: Appearance, version: str = "") -> bytes:
        """The avatar with this look as quantised Gaussians, for the viewer in a browser."""
        from perse.export import SplatScene
        from perse.export.columns import splat_message
        from perse.export.scene import drawable

        code, parameters = self._code(look.attributes), self._parameters(look)
        with torch.inference_mode(), self._one_at_a_time:
            posed = self.avatar.pose(self._canonicalised(code), parameters).to("cpu", torch.float32)
        home = self.avatar.card.camera.to("cpu", torch.float32)
        return splat_message(SplatScene(drawable(posed), 25.0, home, self._centre()), version=version)

    def _code(self, attributes: Mapping[Category, Mapping[str, float]]) -> Tensor:
        """z [k, d]: in each named category z_ref + Σ w (z_subject − z_ref), elsewhere z_ref (Eq. 4)."""
        reference = self.avatar.latents.reference.detach()
        code = reference.clone()
        rows = {s.key: (row, s.category) for row, s in enumerate(self.avatar.subjects)}
        for category, weights in attributes.items():
            check_names(f"{category.value} subject", set(weights), [k for k, (_, c) in rows.items() if c == category])
            k = category.index
            for subject, weight in weights.items():
                code[k] += weight * (self._codes[rows[subject][0], k] - reference[k])
        return code

    def _canonicalised(self, code: Tensor) -> CanonicalGaussians:
        key = code.cpu().numpy().tobytes().hex()
        if key not in self._canonical:
            self._canonical[key] = self.avatar.canonicalise(code).detach()
            if len(self._canonical) > CACHED_CODES:
                self._canonical.popitem(last=False)
        self._canonical.move_to_end(key)
        return self._canonical[key]

    def _parameters(self, request: Appearance) -> HeadParameters:
        card = self.avatar.card
        expressions, joints = list(card.expression_names), list(card.joint_names)
        check_names("expression", set(request.expression), expressions)
        check_names("joint", set(request.pose), joints)
        expression = torch.zeros(1, self.avatar.skeleton.n_expression)
        for name, value in request.expression.items():
            expression[0, expressions.index(name)] = value
        pose = torch.zeros(1, len(joints), 3)
        for name, turn in request.pose.items():
            pose[0, joints.index(name)] = torch.tensor(turn)
        return HeadParameters(torch.zeros(0), torch.zeros(0, 3), expression, pose)

    def _camera(self, request: RenderRequest) -> Camera:
        if isinstance(request.camera, OrbitCamera):
            home = self.avatar.card.camera.to("cpu", torch.float32).resized(request.width, request.height)
            return orbit(home, self._centre(), request.camera)
        own = request.camera
        return Camera(
            torch.tensor(own.world_to_camera), torch.tensor(own.intrinsics), request.width, request.height
        )  # fmt: skip

    def _centre(self) -> Tensor:
        """About the middle of the head [3]: between the eyes' joints and the neck's."""
        joints = self.avatar.skeleton.joints.cpu()
        eyes = joints[[Joint.LEFT_EYE, Joint.RIGHT_EYE]].mean(0)
        return (eyes + joints[Joint.NECK]) / 2


def orbit(camera: Camera, centre: Tensor, orbit: OrbitCamera) -> Camera:
    """The camera moved around a point: its picture of the point stays where it is.

    Args:
        centre: [3], metres, world.
    """
    yaw, pitch = math.radians(orbit.yaw_deg), math.radians(orbit.pitch_deg)
    about_y = torch.tensor([[math.cos(yaw), 0, -math.sin(yaw)], [0, 1, 0], [math.sin(yaw), 0, math.cos(yaw)]])
    about_x = torch.tensor([[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
    around = torch.eye(4)
    around[:3, :3] = about_x @ about_y
    around[:3, 3] = centre - around[:3, :3] @ centre
    intrinsics = camera.intrinsics.clone()
    seen = intrinsics @ (camera.world_to_camera[:3, :3] @ centre + camera.world_to_camera[:3, 3])
    middle = seen[:2] / seen[2]
    intrinsics[:2] *= orbit.zoom
    intrinsics[:2, 2] += middle * (1 - orbit.zoom)
    return Camera(camera.world_to_camera @ around, intrinsics, camera.width, camera.height)


@dataclass
class FolderLibrary:
    """Avatars in folders, loaded when they are first asked for; the least recently used one makes room.

    Attributes:
        folders: avatar folders by id.
        capacity: avatars kept in memory.
    """

    folders: Mapping[str, Path]
    capacity: int = 3

    def __post_init__(self) -> None:
        wrong = [name for name in self.folders if not AVATAR_ID.fullmatch(name)]
        if wrong:
            raise InputError(f"{wrong[0]!r} cannot be an avatar's id; use letters, digits, - and _, 64 at most")
        self._loaded: OrderedDict[str, LoadedAvatar] = OrderedDict()
        self._lock = Lock()

    def ids(self) -> list[str]:
        return sorted(self.folders)

    def info(self, avatar: str) -> AvatarInfo:
        return self._avatar(avatar).info(avatar)

    def render(self, avatar: str, request: RenderRequest) -> NDArray[np.uint8]:
        return self._avatar(avatar).render(request)

    def export(self, avatar: str, look: Appearance, format: ExportFormat) -> bytes:
        return self._avatar(avatar).export(look, format)

    def splats(self, avatar: str, look: Appearance) -> bytes:
        return self._avatar(avatar).splats(look)

    def _avatar(self, name: str) -> LoadedAvatar:
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = LoadedAvatar.load(self.folders[name])
                if len(self._loaded) > self.capacity:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(name)
            return self._loaded[name]


__all__ = ["AvatarLibrary", "FolderLibrary", "LoadedAvatar", "UnknownName", "orbit"]
