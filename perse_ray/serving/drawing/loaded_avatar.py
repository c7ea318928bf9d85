"""Avatar in memory behind the service's requests: they are resolved once, then drawn, recorded and exported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray

from perse.attributes import Category
from perse.avatar import Avatar, load_avatar
from perse.export.provenance import Provenance
from perse.export.scene import SplatScene
from perse.geometry import Camera
from perse.viewing import (
    WITHOUT_WEIGHTS,
    AvatarRenderer,
    Described,
    Edits,
    Encoders,
    Look,
    Named,
    Orbit,
    PictureRequest,
    ResolvedLook,
)
from perse_ray.serving.schema.consent import read_consent_info
from perse_ray.serving.schema.requests import (
    Appearance,
    Attributes,
    AvatarInfo,
    ConsentInfo,
    Description,
    OrbitCamera,
    RenderRequest,
    SubjectInfo,
    terms,
)

if TYPE_CHECKING:
    from perse.export import ExportFormat


@dataclass(frozen=True)
class Resolved:
    """Request whose names have been looked up, once.

    Attributes:
        request: as it came.
        look: what it means for the avatar.
    """

    request: RenderRequest
    look: ResolvedLook


class LoadedAvatar:
    """Avatar in memory. Its methods may be called from several threads."""

    def __init__(
        self, avatar: Avatar, encoders: Encoders = WITHOUT_WEIGHTS, consent: ConsentInfo | None = None
    ) -> None:
        """
        Args:
            encoders: for attributes that are described.
            consent: of the person, if there is a record of it.
        """
        self.consent = consent
        self.renderer = AvatarRenderer(avatar, encoders)
        self.avatar = self.renderer.avatar

    @classmethod
    def load(cls, folder: Path, encoders: Encoders = WITHOUT_WEIGHTS) -> LoadedAvatar:
        """Avatar of a folder.

        Raises:
            InputError: the folder holds no readable avatar.
        """
        loaded = cls(load_avatar(folder), encoders, read_consent_info(folder))
        loaded.render(RenderRequest())  # kernels are compiled, or read from disk, before anybody waits for a picture
        return loaded

    @property
    def mib(self) -> float:
        """Size in memory with its cache full, MiB."""
        return self.renderer.mib

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
            consent=self.consent,
        )

    def resolve(self, request: RenderRequest) -> Resolved:
        """Request whose names have been looked up.

        Raises:
            UnknownName: the request names a subject, expression or joint that the avatar does not have, several
                subjects answer to a name, or a description cannot be understood.
        """
        return Resolved(request, self.renderer.resolve(look_of(request)))

    def draw(self, resolved: Sequence[Resolved]) -> list[UInt8[NDArray[np.uint8], "_ _ c"]]:
        """Pictures [h, w, 3] uint8, or [h, w, 4] (not premultiplied) without a background; several in one call."""
        pictures = [_picture_of(one.request) for one in resolved]
        return self.renderer.draw(pictures, [one.look for one in resolved])

    def render(self, request: RenderRequest) -> UInt8[NDArray[np.uint8], "h w c"]:
        """One picture, as `draw`.

        Raises:
            UnknownName: as `resolve`.
        """
        return self.draw([self.resolve(request)])[0]

    def provenance(self, resolved: Sequence[Resolved], *, dated: bool = True) -> Provenance:
        """Provenance of media that show these pictures."""
        return self.renderer.provenance([one.look for one in resolved], dated=dated)

    def export(self, look: Appearance, format: ExportFormat) -> bytes:
        """Content of a file for other programs with this look, with its provenance inside.

        Raises:
            UnknownName: as `resolve`.
        """
        return self.renderer.export(self.renderer.resolve(look_of(look)), format)

    def frozen(self, look: Appearance) -> SplatScene:
        """Gaussians of a look, in its expression and pose.

        Raises:
            UnknownName: as `resolve`.
        """
        return self.renderer.frozen(self.renderer.resolve(look_of(look)))


def look_of(appearance: Appearance) -> Look:
    """Look that a request asks for, as the method knows it."""
    return Look(edits_of(appearance.attributes), appearance.expression, appearance.pose)


def edits_of(attributes: Attributes) -> Edits:
    """Edits that a request asks for, as sums of terms."""
    edits: dict[Category, tuple[Named | Described, ...]] = {}
    for category, attribute in attributes.items():
        found: list[Named | Described] = []
        for term in terms(attribute):
            if isinstance(term, Description):
                found.append(Described(term.text, term.picture(), term.weight))
            else:
                found += [Named(words, weight) for words, weight in term.items()]
        edits[category] = tuple(found)
    return edits


def _picture_of(request: RenderRequest) -> PictureRequest:
    """The picture of a request; its look has been resolved."""
    asked, size = request.camera, (request.width, request.height)
    camera: Orbit | Camera
    if isinstance(asked, OrbitCamera):
        camera = Orbit(asked.yaw_deg, asked.pitch_deg, asked.zoom)
    else:
        camera = Camera(torch.tensor(asked.world_to_camera), torch.tensor(asked.intrinsics), *size)
    return PictureRequest(camera=camera, width=size[0], height=size[1], background=request.background)
