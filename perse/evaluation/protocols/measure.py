"""Pieces of Tables 1 and 2: one subject in unseen poses, one way between two subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float

from perse.avatar import Avatar
from perse.data import UNRECORDED, PortraitClip
from perse.errors import StageError
from perse.evaluation.interpolations import paths
from perse.evaluation.measurements import mean, spread
from perse.evaluation.metrics import path_lengths
from perse.evaluation.perceptual import METRIC, multi_scale_distance, structural_similarity
from perse.evaluation.pictures import psnr, squared_error
from perse.evaluation.protocols.instruments import DLIB_ID, LPIPS, Features, Instruments, Pictures
from perse.evaluation.viewing import Viewer
from perse.identity import identity_distance
from perse.render import Rasterizer

STEPS = 9
"""Pictures along a way, both ends among them (P B.2)."""


@dataclass(frozen=True)
class UnseenScores:
    """Scores of a subject in poses that were never trained: means by the metric's name. nan: nothing to measure."""

    values: Mapping[str, float]


@dataclass(frozen=True)
class WayScores:
    """Scores of the ways between two subjects, one for each pose.

    Attributes:
        values: means by the metric's name: sums and deviations of a distance between neighbours.
        features: one row a step and pose, of its pictures, by the name of the Fréchet distance of their space.
    """

    values: Mapping[str, float]
    features: Mapping[str, Features]


@dataclass(frozen=True, kw_only=True)
class ProtocolMeasurer:
    """Measurer of one avatar by the paper's protocols.

    Attributes:
        avatar: trained.
        clips: *test* frames of its first subjects, in the table's order, the reference first, on white.
        rasterizer: who draws.
        instruments: what measures.
        frames: test frames of a subject at most; poses: of a way.

    Raises:
        StageError: the clips are not the avatar's subjects.
    """

    avatar: Avatar
    clips: Sequence[PortraitClip]
    rasterizer: Rasterizer
    instruments: Instruments
    frames: int = 16
    poses: int = 5

    def __post_init__(self) -> None:
        subjects = [subject.key for subject in self.avatar.subjects]
        if not self.clips or [clip.key for clip in self.clips] != subjects[: len(self.clips)]:
            raise StageError("the test clips are not the avatar's subjects in their order; give the same subjects")

    def unseen(self, row: int) -> UnseenScores:
        """Scores of Table 1 for one subject, where a recording shows it."""
        chosen = spread(len(self.clips[row]), self.frames)
        truth, alphas = self.clips[row].images[chosen], self.clips[row].alphas[chosen]
        known = np.asarray(self.clips[row].parts[chosen]) != UNRECORDED
        shown = np.where(known[..., None], self.pictures(row, chosen), truth)
        values = {"PSNR": [], "PSNR, person": [], "SSIM": []}  # type: dict[str, list[float]]
        for picture, target, alpha, recorded in zip(shown, truth, alphas, known, strict=True):
            a, b = (torch.from_numpy(np.array(one)).float() / 255 for one in (picture, target))
            values["PSNR"].append(psnr(squared_error(a, b, recorded)))
            values["PSNR, person"].append(
                psnr(squared_error(a, b, alpha > 127)) if (alpha > 127).any() else float("nan")
            )
            values["SSIM"].append(float(structural_similarity(a[None], b[None])[0]))
        found = {name: mean(numbers) for name, numbers in values.items()}
        if self.instruments.lpips is not None:
            found[LPIPS] = self.instruments.lpips(shown, truth)
        return UnseenScores({**found, **self._faces(shown, truth)})

    def way(self, a: int, b: int) -> WayScores:
        """Scores of Table 2 for one pair of subjects."""
        viewer = self._viewer.at(spread(len(self.clips[0]), self.poses))
        ways = paths(viewer, self._codes[a], self._codes[b], torch.linspace(0, 1, STEPS).tolist())
        pictures = [_bytes(way) for way in ways]
        values: dict[str, float] = {}
        plain = path_lengths(pictures, _multi_scale)
        values[f"sum, {METRIC}"], values[f"deviation, {METRIC}"] = plain.total, plain.deviation
        if self.instruments.lpips is not None:
            learned = path_lengths(pictures, self.instruments.lpips)
            values["PPL"], values["PDV"] = learned.total, learned.deviation
        every = np.concatenate(pictures)
        features = {names[0]: describe(every) for names, describe in self.instruments.spaces.items()}
        return WayScores(values, features)

    def pictures(self, row: int, frames: Sequence[int]) -> Pictures:
        """Pictures of a subject in some test frames, as the avatar draws it."""
        return _bytes(self._viewer.at(list(frames)).pictures(self._codes[row]))

    def held_out(self, clips: Sequence[PortraitClip]) -> Mapping[str, Features]:
        """Features of clips of subjects that nobody trained on, in the poses of the ways."""
        chosen = spread(len(self.clips[0]), self.poses)
        every = np.concatenate([clip.images[chosen] for clip in clips])
        return {names[0]: describe(every) for names, describe in self.instruments.spaces.items()}

    def _faces(self, shown: Pictures, truth: Pictures) -> dict[str, float]:
        """Of the first picture only: finding and describing a face takes a tenth of a second."""
        found = {}
        for name, embedder in self.instruments.faces.items():
            a, b = embedder.embed(shown[0]), embedder.embed(np.ascontiguousarray(truth[0]))
            if a is None or b is None:
                found[name] = float("nan")
            else:
                found[name] = identity_distance(a, b) if name == DLIB_ID else float(a @ b)  # unit length
        return found

    @cached_property
    def _viewer(self) -> Viewer:
        first = self.clips[0]
        motion = self.avatar.skeleton(first.parameters.to(self.avatar.device))
        return Viewer(self.avatar, motion, first.camera, self.rasterizer)

    @cached_property
    def _codes(self) -> torch.Tensor:
        return self.avatar.subject_codes().detach()


def _bytes(pictures: Float[torch.Tensor, "n h w 3"]) -> Pictures:
    return (pictures * 255 + 0.5).to(torch.uint8).numpy()


def _multi_scale(a: Pictures, b: Pictures) -> float:
    one, other = (torch.from_numpy(np.array(p)).float() / 255 for p in (a, b))
    return float(multi_scale_distance(one, other)[0])
