"""Morpher that draws what is worn half-way: the ground truth that no warp of two pictures has.

The procedural editor makes hats, headphones, earrings and hair as meshes, kept with the edit, and the procedural
animator films them. So between two such subjects nothing needs to be guessed from pixels. What is worn is interpolated
in three dimensions (`perse.synthesis.procedural.attachments.between`) and drawn in the frame's own pose onto what lies
under it, by the code that drew the clips; M_part (Eq. 39) is where it shows. What lies under it differs in little
between the two (hair taken off for one hat and not for the other) and is blended. Equal steps of α look equally far
apart: the pace is measured once a pair, in the first frame, and evened out.

Ends that were not drawn like that (painted edits, a diffusion model's, a clip of another animator, a workspace from
before the sheets of a mesh were kept) are left to the warp. This is found out by drawing the first frame of each clip
and looking whether it is the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import ClassVar

import cv2
import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from perse.attributes import CATEGORY_PARTS, Category
from perse.data import Attachment, EditedPortrait, PortraitClip, archive
from perse.data.clip_file import Frame
from perse.data.workspace import Workspace
from perse.head import HeadModel, HeadParameters, Joint
from perse.morphing.blended_frames import BlendedFrames
from perse.morphing.bounded_cache import BoundedCache
from perse.morphing.morpher import FrameOrigin, Morph, MorphEnd, check_ends
from perse.morphing.reschedule import even_positions
from perse.morphing.warp import WarpMorpher, WarpMorpherConfig
from perse.synthesis.procedural.animator import ProceduralAnimatorConfig
from perse.synthesis.procedural.animator.frames import ClipSetting, draw_pose, reduced
from perse.synthesis.procedural.attachments.between import Between
from perse.synthesis.procedural.scene import FrameBuffers, PreparedAttachments, draw_attachments, prepare_attachments

_SAME = 1.0
"""Mean difference from its picture, grey levels, up to which a frame counts as drawn: processors round differently."""

Pace = tuple[float, ...]
"""Positions on the way, one for each α of `_LOOKED_AT`."""

_LOOKED_AT = tuple(k / 6 for k in range(7))


@dataclass(frozen=True, kw_only=True)
class RedrawMorpherConfig:
    """Configuration of the redrawing morpher: who draws, and who interpolates where there is nothing to draw."""

    version: int = 3
    """Part of content keys: changes whenever the pictures do."""
    animator: ProceduralAnimatorConfig = field(default_factory=ProceduralAnimatorConfig)
    """The one that filmed the clips."""
    warp: WarpMorpherConfig = field(default_factory=WarpMorpherConfig)
    """For all other ends."""
    kept_subjects: int = 24
    """Lifted subjects that are remembered, 21 to 33 MiB each: pictures, textures, the thing. Of those that wear
    nothing only that is remembered, of all of them. Lifting takes a second, so there should be room for everybody."""
    ways_mib: float = 384
    """Of ways from one thing to another: from 1 MiB for earrings to 44 for hair; 240 for a laptop's 24 pairs."""
    frames_mib: float = 128
    """Of subjects drawn in a frame, without what they wear: 5 MiB each. A category's pairs share them."""

    lora: ClassVar[None] = None
    """No subject needs an adapter."""

    def check(self) -> None:
        """Do nothing: it needs no weights."""

    def build(self) -> RedrawMorpher:
        return RedrawMorpher(self)


class RedrawMorpher:
    """Morpher that draws between ends that have an origin and a pose; any others are warped."""

    def __init__(self, config: RedrawMorpherConfig) -> None:
        self._config = config
        self._warp = WarpMorpher(config.warp)
        self._place: tuple[str, int] | None = None
        self._wearers: _Wearers | None = None

    def morph(self, first: MorphEnd, second: MorphEnd, positions: Sequence[float]) -> Morph:
        """See `Morpher.morph`."""
        check_ends(first, second, positions)
        scene = self._scene(first, second) if any(0 < t < 1 for t in positions) else None
        if scene is None:
            return self._warp.morph(first, second, positions)
        images, alphas, shapes = [], [], []
        for t in map(float, positions):
            if t in (0.0, 1.0):
                end = first if t == 0 else second
                image, alpha, shape = end.image, end.alpha, end.shape
            else:
                frame = scene.at(t)
                image, alpha, shape = frame.image, frame.alpha, _shows(first.category, frame)
            images.append(image)
            alphas.append(alpha)
            shapes.append(shape)
        return Morph(np.asarray(positions, np.float32), np.stack(images), np.stack(alphas), np.stack(shapes))

    def _scene(self, first: MorphEnd, second: MorphEnd) -> _Scene | None:
        """Both ends, drawn without what they wear; None where one cannot be drawn."""
        if first.origin is None or second.origin is None or first.pose is None or first.category is None:
            return None
        if not archive.has_portrait(first.origin.workspace):
            return None
        wearers = self._wearers_of(first.origin.workspace, first.pose.head)
        clips = first.origin.clip, second.origin.clip
        if not all(map(wearers.is_drawn, clips)):
            return None
        between = wearers.between(*clips)
        if between is None:
            return None
        stands = [wearers.stand(origin, first.pose.parameters) for origin in (first.origin, second.origin)]
        return _Scene(stands[0], stands[1], between, wearers.pace(*clips))

    def _wearers_of(self, workspace: Workspace, head: HeadModel) -> _Wearers:
        """Of the workspace that was asked for last: a pool serves one."""
        place = workspace.location, id(head)
        if self._wearers is None or self._place != place:
            self._place, self._wearers = place, _Wearers(self._config, workspace, head)
        return self._wearers


@dataclass(frozen=True)
class _Subject:
    """A subject that wears something: what lies under it, ready to be filmed, and the thing."""

    setting: ClipSetting
    worn: tuple[Attachment, ...]

    def is_in(self, clip: PortraitClip) -> bool:
        """Whether a clip of one frame shows what is drawn."""
        stand = _Stand.of(self, clip.parameters)
        drawn = stand.wearing(prepare_attachments(self.worn), stand.below).image  # drawn over: it is not kept
        return float(np.abs(drawn.astype(np.float32) - clip.images[0]).mean()) < _SAME


class _Wearers:
    """A workspace's subjects, by their clips; the last ones are remembered."""

    def __init__(self, config: RedrawMorpherConfig, workspace: Workspace, head: HeadModel) -> None:
        self._workspace = workspace
        self._head = head  # kept, so that no other one gets its identity
        self._portrait = archive.load_portrait(workspace)
        self._animator = config.animator.build(head)
        self._drawn: dict[str, bool] = {}
        self._subject = lru_cache(maxsize=config.kept_subjects)(self._lifted)
        self._ways = BoundedCache[_Way](config.ways_mib, lambda way: way.bytes)
        self._stands = BoundedCache[_Stand](config.frames_mib, lambda stand: stand.bytes)
        self.pace = lru_cache(maxsize=None)(self._pace)

    def is_drawn(self, clip: str) -> bool:
        """False where it wears nothing, its edit is not here, or somebody else filmed it."""
        if clip not in self._drawn:
            file = archive.open_clip(self._workspace, clip)
            worn = archive.has_edit(self._workspace, file.key) and self._edited(clip).attachments
            # Most are painted: they must not push out those that are drawn.
            self._drawn[clip] = bool(worn) and self._subject(clip).is_in(file.clip(0))
        return self._drawn[clip]

    def between(self, first: str, second: str) -> Between | None:
        """The way from one's thing to the other's; None where there is none."""
        return self._ways.get(
            f"{first} {second}",
            lambda: _Way(Between.of(self._subject(first).worn, self._subject(second).worn)),
        ).between

    def stand(self, origin: FrameOrigin, pose: HeadParameters) -> _Stand:
        """Somebody in a frame's pose."""
        return self._stands.get(
            f"{origin.clip} {origin.frame_number}", lambda: _Stand.of(self._subject(origin.clip), pose)
        )

    def _edited(self, clip: str) -> EditedPortrait:
        return archive.load_edit(self._workspace, archive.open_clip(self._workspace, clip).key)

    def _lifted(self, clip: str) -> _Subject:
        edited, size_px = self._edited(clip), archive.open_clip(self._workspace, clip).camera.width
        return _Subject(self._animator.underlay(self._portrait, edited, size_px), edited.attachments)

    def _pace(self, first: str, second: str) -> Pace:
        """Where on the way pictures are equally far apart."""
        between = self.between(first, second)
        assert between is not None, "asked for first"
        pose = archive.open_clip(self._workspace, first).parameters.frame(slice(0, 1))
        stands = [_Stand.of(self._subject(clip), pose) for clip in (first, second)]
        scene = _Scene(stands[0], stands[1], between, _LOOKED_AT)
        pictures = [scene.at(position).image for position in _LOOKED_AT]
        return tuple(even_positions(_LOOKED_AT, [_apart(*pair) for pair in pairwise(pictures)], _LOOKED_AT))


@dataclass(frozen=True)
class _Way:
    """What lies between two things, if they have a way into each other."""

    between: Between | None

    @property
    def bytes(self) -> int:
        return 0 if self.between is None else self.between.bytes


@dataclass(frozen=True)
class _Stand:
    """A subject in the pose of a frame, without what it wears.

    Attributes:
        below: drawn, supersampled.
        neck: [4, 4], rest to posed.
    """

    subject: _Subject
    below: FrameBuffers
    neck: Float32[NDArray[np.float32], "4 4"]

    @classmethod
    def of(cls, subject: _Subject, pose: HeadParameters) -> _Stand:
        buffers, transforms = draw_pose(subject.setting, pose)
        return cls(subject, buffers, transforms[Joint.NECK])

    @property
    def bytes(self) -> int:
        """What remembering it takes."""
        below = self.below
        return below.rgb.nbytes + below.alpha.nbytes + below.parts.nbytes + below.depth.nbytes

    def wearing(self, things: PreparedAttachments, below: FrameBuffers) -> Frame:
        """The frame with things on, drawn into the buffers."""
        setting = self.subject.setting
        draw_attachments(below, things, self.neck, setting.camera, setting.lifted.light)
        return reduced(below, setting.supersampling)


@dataclass(frozen=True)
class _Scene:
    """Two subjects in one pose, and what lies between the things that they wear."""

    first: _Stand
    second: _Stand
    between: Between
    pace: Pace

    @cached_property
    def _underlay(self) -> BlendedFrames:
        return BlendedFrames(self.first.below, self.second.below)

    def at(self, alpha: float) -> Frame:
        position = float(np.interp(alpha, _LOOKED_AT, self.pace))
        return self.first.wearing(self.between.at(position), self._underlay.at(position))


def _apart(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """How different two pictures look from afar: mean difference at a quarter of their size."""
    size = first.shape[1] // 4, first.shape[0] // 4
    near, far = (cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in (first, second))
    return float(cv2.absdiff(near, far).mean())


def _shows(category: Category | None, frame: Frame) -> NDArray[np.bool_]:
    """[h, w]: where a frame shows the part."""
    assert category is not None, "only edits are drawn again"
    return np.isin(frame.parts, [int(part) for part in CATEGORY_PARTS[category]])
