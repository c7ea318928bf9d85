"""The morpher that draws what is worn half-way: the ground truth that no warp of two pictures has.

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
from functools import lru_cache
from itertools import pairwise
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from perse.attributes import CATEGORY_PARTS, Category
from perse.data import Attachment, PortraitClip, archive
from perse.data.clip_file import Frame
from perse.data.workspace import Workspace
from perse.head import HeadModel, HeadParameters, Joint
from perse.morphing.membership import membership
from perse.morphing.morpher import Morph, MorphEnd, check_ends
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

_FAR_M = np.float32(1e3)
"""Beyond every head."""


@dataclass(frozen=True, kw_only=True)
class RedrawMorpherConfig:
    """Who draws, and who interpolates where there is nothing to draw."""

    version: int = 1
    """Part of content keys: changes whenever the pictures do."""
    animator: ProceduralAnimatorConfig = field(default_factory=ProceduralAnimatorConfig)
    """The one that filmed the clips."""
    warp: WarpMorpherConfig = field(default_factory=WarpMorpherConfig)
    """For all other ends."""
    kept_subjects: int = 16
    """Lifted subjects that are remembered, some tens of megabytes each: pictures, textures, the thing. Of those that
    wear nothing only that is remembered, of all of them."""
    kept_pairs: int = 8
    """Ways from one thing to another that are remembered, up to 40 MB each."""

    lora: ClassVar[None] = None
    """No subject needs an adapter."""

    def check(self) -> None:
        """It needs no weights."""

    def build(self) -> RedrawMorpher:
        return RedrawMorpher(self)


class RedrawMorpher:
    """See the module. Draws between ends that have an origin and a pose; any others are warped."""

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
        subjects = [wearers.subject(clip) for clip in clips]
        between = wearers.between(*clips)
        if subjects[0] is None or subjects[1] is None or between is None:
            return None
        pose = first.pose.parameters
        stands = _Stand.of(subjects[0], pose), _Stand.of(subjects[1], pose)
        return _Scene(*stands, between, wearers.pace(*clips))

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
        drawn = stand.wearing(prepare_attachments(self.worn), stand.below).image
        return float(np.abs(drawn.astype(np.float32) - clip.images[0]).mean()) < _SAME


class _Wearers:
    """A workspace's subjects, by their clips; the last ones are remembered."""

    def __init__(self, config: RedrawMorpherConfig, workspace: Workspace, head: HeadModel) -> None:
        self._workspace = workspace
        self._head = head  # kept, so that no other one gets its identity
        self._portrait = archive.load_portrait(workspace)
        self._animator = config.animator.build(head)
        self._drawn: dict[str, bool] = {}
        self._lifted = lru_cache(maxsize=config.kept_subjects)(self._subject)
        self.between = lru_cache(maxsize=config.kept_pairs)(self._between)
        self.pace = lru_cache(maxsize=None)(self._pace)

    def subject(self, clip: str) -> _Subject | None:
        """None where it wears nothing, its edit is not here, or somebody else filmed it."""
        if not self._drawn.get(clip, True):  # most are painted: they must not push out those that are drawn
            return None
        found = self._lifted(clip)
        self._drawn[clip] = found is not None
        return found

    def _subject(self, clip: str) -> _Subject | None:
        file = archive.open_clip(self._workspace, clip)
        if not archive.has_edit(self._workspace, file.key):
            return None
        edited = archive.load_edit(self._workspace, file.key)
        if not edited.attachments:
            return None
        setting = self._animator.underlay(self._portrait, edited, file.camera.width)
        subject = _Subject(setting, edited.attachments)
        return subject if subject.is_in(file.clip(0)) else None

    def _pace(self, first: str, second: str) -> Pace:
        """Where on the way pictures are equally far apart."""
        between = self.between(first, second)
        ends = self.subject(first), self.subject(second)
        assert between is not None and ends[0] is not None and ends[1] is not None, "asked for first"
        pose = archive.open_clip(self._workspace, first).parameters.frame(slice(0, 1))
        scene = _Scene(_Stand.of(ends[0], pose), _Stand.of(ends[1], pose), between, _LOOKED_AT)
        pictures = [scene.at(position).image for position in _LOOKED_AT]
        return tuple(even_positions(_LOOKED_AT, [_apart(*pair) for pair in pairwise(pictures)], _LOOKED_AT))

    def _between(self, first: str, second: str) -> Between | None:
        ends = self.subject(first), self.subject(second)
        return None if ends[0] is None or ends[1] is None else Between.of(ends[0].worn, ends[1].worn)


@dataclass(frozen=True)
class _Stand:
    """A subject in the pose of a frame, without what it wears.

    Attributes:
        below: drawn, supersampled.
        neck: [4, 4], rest to posed.
    """

    subject: _Subject
    below: FrameBuffers
    neck: NDArray[np.float32]

    @classmethod
    def of(cls, subject: _Subject, pose: HeadParameters) -> _Stand:
        buffers, transforms = draw_pose(subject.setting, pose)
        return cls(subject, buffers, transforms[Joint.NECK])

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

    def at(self, alpha: float) -> Frame:
        position = float(np.interp(alpha, _LOOKED_AT, self.pace))
        below = _mixed(self.first.below, self.second.below, position)
        return self.first.wearing(self.between.at(position), below)


def _mixed(first: FrameBuffers, second: FrameBuffers, position: float) -> FrameBuffers:
    """Both as one picture; new arrays. Outlines grow into each other (`membership`), what lies inside is blended."""
    share, rest = np.float32(position), np.float32(1 - position)
    alpha = membership(first.alpha, second.alpha, position, 1.0)
    opaque = np.maximum(rest * first.alpha + share * second.alpha, np.float32(1e-3))[..., None]
    color = (rest * _over_black(first) + share * _over_black(second)) / opaque
    here, there = np.minimum(first.depth, _FAR_M), np.minimum(second.depth, _FAR_M)
    both = np.maximum(here, there) < _FAR_M
    depth = np.where(both, rest * here + share * there, np.minimum(here, there))
    return FrameBuffers(
        rgb=np.asarray(color * alpha[..., None] + 255 * (1 - alpha[..., None]), np.float32),
        alpha=alpha,
        parts=(first if position < 0.5 else second).parts.copy(),
        depth=np.where(alpha > 0.5, depth, np.float32(np.inf)),
    )


def _over_black(buffers: FrameBuffers) -> NDArray[np.float32]:
    return buffers.rgb - 255 * (1 - buffers.alpha[..., None])


def _apart(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """How different two pictures look from afar: mean difference at a quarter of their size."""
    size = first.shape[1] // 4, first.shape[0] // 4
    near, far = (cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in (first, second))
    return float(cv2.absdiff(near, far).mean())


def _shows(category: Category | None, frame: Frame) -> NDArray[np.bool_]:
    """[h, w]: where a frame shows the part."""
    assert category is not None, "only edits are drawn again"
    return np.isin(frame.parts, [int(part) for part in CATEGORY_PARTS[category]])
