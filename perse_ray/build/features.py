"""Features of subjects as rows: a file for each, under its content key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perse.avatar import Subject
from perse.data import EditedPortrait, TrackedPortrait, archive
from perse.data.keys import content_key
from perse.data.on_white import laid_on_white
from perse.data.tables.codecs import arrays_to_npz, npz_to_arrays
from perse.data.workspace import Workspace
from perse.features import Features, PromptImageEncoder
from perse_ray.rows.stage import KEY, NAME, Row, RowWork, Value

PORTRAIT = "portrait"
"""Stands for the unedited person where a row names a subject's edit."""


class EncoderConfig(Protocol):
    """Description of an encoder; loaded where it runs."""

    def build(self) -> PromptImageEncoder: ...


def encode_rows(digest: str, subjects: Sequence[Subject]) -> list[Row]:
    """Rows of the subjects; their keys are those of the files that will hold the features."""
    return [
        {
            KEY: content_key("features", digest, subject.key, subject.text)[:32],
            NAME: subject.text or PORTRAIT,
            "subject": subject.key if subject.category is not None else PORTRAIT,
            "text": subject.text,
        }
        for subject in subjects
    ]


def feature_file(key: str) -> str:
    """Name of the file of a row's features."""
    return f"features/{key}.npz"


def load_features(workspace: Workspace, files: Sequence[str]) -> Features:
    """Features of all subjects, in the order of their files."""
    arrays = [npz_to_arrays(workspace.read(name)) for name in files]
    image, text = (torch.from_numpy(np.stack([one[name] for one in arrays])) for name in ("image", "text"))
    return Features(image, text)


@dataclass(frozen=True, kw_only=True)
class EncodeWork:
    """Work of a row: from subjects to features."""

    workspace: Workspace
    """Where the edits are, and the features go."""

    encoder: EncoderConfig
    """Who makes them."""

    def build(self) -> RowWork:
        return _Encoder(self.workspace, self.encoder.build())


class _Encoder:
    def __init__(self, workspace: Workspace, encoder: PromptImageEncoder) -> None:
        self._workspace, self._encoder = workspace, encoder
        self._ready: dict[str, tuple[Tensor, Tensor]] = {}

    def prepare(self, rows: Sequence[Mapping[str, Value]]) -> None:
        """Encode several subjects at once."""
        pictures = np.stack([self._picture(str(row["subject"])) for row in rows])
        found = self._encoder.encode(pictures, [str(row["text"]) for row in rows])
        self._ready = {str(row[KEY]): (found.image[i], found.text[i]) for i, row in enumerate(rows)}

    def __call__(self, row: Mapping[str, Value]) -> Mapping[str, Value]:
        key = str(row[KEY])
        if key not in self._ready:
            self.prepare([row])
        image, text = self._ready.pop(key)
        arrays = {"image": image.float().cpu().numpy(), "text": text.float().cpu().numpy()}
        self._workspace.write(feature_file(key), arrays_to_npz(arrays))
        return {"encoded": True}

    def _picture(self, subject: str) -> NDArray[np.uint8]:
        if subject == PORTRAIT:
            shown: TrackedPortrait | EditedPortrait = archive.load_portrait(self._workspace)
        else:
            shown = archive.load_edit(self._workspace, subject)
        return laid_on_white(shown.image, shown.masks.person.astype(np.float32) / 255)
