"""Face parsing by a trained segmenter: transformers folders, TorchScript files, or our own parser without weights.

All three are a `Segmenter` (any picture of a head) and a `FaceParser` (for the tracker), and give soft parts that sum
to 255 over a pixel.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from jaxtyping import Float32
from safetensors import SafetensorError

from perse.attributes import Category, Part
from perse.data import PartMasks
from perse.errors import GenerationError, MissingWeightsError
from perse.shapes import ByteMask, FaceLandmarks, Picture
from perse.synthesis.production.label_maps import CELEBA_MASK_HQ, FACE_SYNTHETICS, LabelMap
from perse.synthesis.production.model_store import Weights

_SEGFORMER_FACE_PARSING = Weights(name="segformer-face-parsing")

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Segmenter(Protocol):
    """Model that tells the parts of any picture of a head apart."""

    def segment(self, image: Picture) -> PartMasks:
        """Parts of [h, w, 3] uint8 RGB. Deterministic."""
        ...

    def parse(self, image: Picture, landmarks_px: FaceLandmarks, *, inside: ByteMask | None = None) -> PartMasks:
        """See `FaceParser.parse`; landmarks may be ignored."""
        ...

    def knows(self, category: Category) -> bool:
        """Whether it can find the region of a category."""
        ...


@dataclass(frozen=True, kw_only=True)
class PartEdges:
    """Conversion of class probabilities to part masks."""

    sharpness: float = 2.0
    """Exponent on probabilities: 1 keeps the network's soft edges, more makes them narrower."""
    min_area: float = 2e-4
    """A part with less than this share of the picture's pixels is noise and goes to the next likely part."""


@dataclass(frozen=True, kw_only=True)
class TransformersSegmenterConfig:
    """Configuration of a semantic segmentation checkpoint of transformers (SegFormer, Mask-free UperNet, BEiT, …)."""

    weights: Weights = _SEGFORMER_FACE_PARSING
    """The folder, with `config.json`, safetensors, and `preprocessor_config.json`."""
    labels: LabelMap = CELEBA_MASK_HQ
    """What its classes are."""
    edges: PartEdges = PartEdges()
    """Soft edges and least areas."""

    def build(self, device: str = "") -> Segmenter:
        return TransformersSegmenter(self, device)


@dataclass(frozen=True, kw_only=True)
class TorchscriptSegmenterConfig:
    """Configuration of an exported segmenter (Sapiens, a network of one's own): pictures [1, 3, h, w] in, logits [1, c,
    h', w'] out."""

    file: Path
    """The TorchScript archive."""
    labels: LabelMap = FACE_SYNTHETICS
    """What its classes are."""
    size_px: tuple[int, int] = (512, 512)
    """Height and width of its input."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    """Subtracted from RGB in 0…1."""
    std: tuple[float, float, float] = IMAGENET_STD
    """Divided by afterwards."""
    edges: PartEdges = PartEdges()
    """Soft edges and least areas."""

    def build(self, device: str = "") -> Segmenter:
        return TorchscriptSegmenter(self, device)


@dataclass(frozen=True, kw_only=True)
class LandmarkSegmenterConfig:
    """Configuration of segmentation without weights, by landmarks and our own parser. Finds beard, hair and headwear;
    no earrings, no headphones."""

    def build(self, device: str = "") -> Segmenter:
        return LandmarkSegmenter()


SegmenterConfig = TransformersSegmenterConfig | TorchscriptSegmenterConfig | LandmarkSegmenterConfig


class TransformersSegmenter:
    """Segmenter by a checkpoint of transformers; see `TransformersSegmenterConfig`."""

    def __init__(self, config: TransformersSegmenterConfig, device: str = "") -> None:
        """
        Raises:
            MissingWeightsError: the folder is not there or holds another kind of model, or another number of classes.
        """
        import torch
        from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation

        folder = config.weights.locate()
        try:
            self._processor: Any = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
            model: Any = AutoModelForSemanticSegmentation.from_pretrained(
                folder, local_files_only=True, use_safetensors=True
            )
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise MissingWeightsError(f"{folder} holds no segmentation checkpoint of transformers: {error}") from error
        _check_classes(model.config.num_labels, config.labels, folder)
        self._device = torch.device(device or _default_device())
        self._model = model.to(self._device).eval().requires_grad_(False)
        self._config = config

    def segment(self, image: Picture) -> PartMasks:
        """See `Segmenter.segment`."""
        import torch

        with torch.inference_mode():
            pixels = self._processor(images=image, return_tensors="pt")["pixel_values"].to(self._device)
            logits = self._model(pixels).logits
        return to_parts(_probabilities(logits, image.shape[:2]), self._config.labels, self._config.edges)

    def parse(self, image: Picture, landmarks_px: FaceLandmarks, *, inside: ByteMask | None = None) -> PartMasks:
        """See `FaceParser.parse`."""
        return self.segment(image)

    def knows(self, category: Category) -> bool:
        """See `Segmenter.knows`."""
        return self._config.labels.knows(category)


class TorchscriptSegmenter:
    """Segmenter by an exported network; see `TorchscriptSegmenterConfig`."""

    def __init__(self, config: TorchscriptSegmenterConfig, device: str = "") -> None:
        """
        Raises:
            MissingWeightsError: no such file, or no TorchScript (a pickled checkpoint is never opened).
        """
        import torch

        self._device = torch.device(device or _default_device())
        self._model: Any = load_torchscript(config.file, self._device)
        self._config = config
        height, width = config.size_px
        with torch.inference_mode():
            found = _logits(self._model(torch.zeros(1, 3, height, width, device=self._device))).shape[1]
        _check_classes(found, config.labels, config.file)

    def segment(self, image: Picture) -> PartMasks:
        """See `Segmenter.segment`."""
        import torch

        height, width = self._config.size_px
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        ready = (small - np.array(self._config.mean, np.float32)) / np.array(self._config.std, np.float32)
        with torch.inference_mode():
            logits = _logits(self._model(torch.from_numpy(ready).permute(2, 0, 1)[None].to(self._device)))
        return to_parts(_probabilities(logits, image.shape[:2]), self._config.labels, self._config.edges)

    def parse(self, image: Picture, landmarks_px: FaceLandmarks, *, inside: ByteMask | None = None) -> PartMasks:
        """See `FaceParser.parse`."""
        return self.segment(image)

    def knows(self, category: Category) -> bool:
        """See `Segmenter.knows`."""
        return self._config.labels.knows(category)


class LandmarkSegmenter:
    """Segmenter by landmarks and our own parser; see `LandmarkSegmenterConfig`."""

    def segment(self, image: Picture) -> PartMasks:
        """See `Segmenter.segment`.

        Raises:
            GenerationError: no face.
        """
        from perse.tracking import detect_landmarks

        found = detect_landmarks(image)
        if found is None:
            raise GenerationError("no face was found in the generated picture; another seed may show one")
        return self.parse(image, found)

    def parse(self, image: Picture, landmarks_px: FaceLandmarks, *, inside: ByteMask | None = None) -> PartMasks:
        """See `FaceParser.parse`."""
        from perse.tracking import LearnedParser

        return LearnedParser().parse(image, landmarks_px, inside=inside)

    def knows(self, category: Category) -> bool:
        """See `Segmenter.knows`."""
        return category not in (Category.EARRINGS, Category.HEADPHONES)


def to_parts(classes: Float32[np.ndarray, "c h w"], labels: LabelMap, edges: PartEdges) -> PartMasks:
    """Part masks, whose parts sum to 255 over every pixel, of class probabilities [c, h, w]."""
    parts = labels.gather(classes.astype(np.float32)) ** np.float32(edges.sharpness)
    for _ in range(len(Part)):
        areas = np.bincount(parts.argmax(0).ravel(), minlength=len(Part)) / parts[0].size
        small = [part for part in Part if 0 < areas[part] < edges.min_area]
        if not small:
            break
        parts[small] = 0  # whoever is next likely takes over, which may lift another part over the line, never below
    return _quantised(parts)


def _quantised(parts: Float32[np.ndarray, "p h w"]) -> PartMasks:
    total = parts.sum(0)
    parts[Part.BACKGROUND] += total <= 1e-9
    whole = np.round(parts / np.maximum(parts.sum(0), 1e-9) * 255).astype(np.int32)
    strongest = whole.argmax(0)[None]
    rest = 255 - whole.sum(0, keepdims=True)
    np.put_along_axis(whole, strongest, np.take_along_axis(whole, strongest, 0) + rest, 0)
    soft = whole.clip(0, 255).astype(np.uint8)
    return PartMasks(soft, 255 - soft[Part.BACKGROUND])


_TOUCHES_FILES = re.compile(rb"\btorch\.(save|load|from_file)\b|\bops\.(?!prim\b|aten\b|torchvision\b|quantized\b)\w+")
"""Calls of TorchScript that reach files, or operators that no installation of torch brings."""


def load_torchscript(file: Path, device: Any) -> Any:
    """Exported network, whose program is read before it may run.

    Raises:
        MissingWeightsError: no such file, a file that is no TorchScript archive, or a program that reaches files.
    """
    import torch

    if not file.is_file():
        raise MissingWeightsError(f"there is no file {file}; give a TorchScript archive (torch.jit.save)")
    # A TorchScript archive carries its program as text under code/; what torch.save writes does not, and unpickling
    # that could run anything.
    programs = _programs(file)
    if not programs:
        raise MissingWeightsError(f"{file} is no TorchScript archive; export the network with torch.jit.save")
    if found := next(filter(None, map(_TOUCHES_FILES.search, programs)), None):
        raise MissingWeightsError(
            f"{file} calls {found.group().decode()}, which no network needs: it is not loaded; export it without"
        )
    try:
        return torch.jit.load(str(file), map_location=device).eval()
    except RuntimeError as error:
        raise MissingWeightsError(f"{file} cannot be loaded as TorchScript: {str(error).splitlines()[0]}") from error


def _programs(file: Path) -> list[bytes]:
    """The source texts in a TorchScript archive; empty for anything else."""
    if not zipfile.is_zipfile(file):
        return []
    with zipfile.ZipFile(file) as archive:
        return [archive.read(name) for name in archive.namelist() if "/code/" in name and name.endswith(".py")]


def _logits(output: Any) -> Any:
    """The tensor [1, c, h, w] of whatever a network returns."""
    while isinstance(output, (tuple, list)):
        output = output[0]
    return next(iter(output.values())) if isinstance(output, dict) else output


def _probabilities(logits: Any, shape: tuple[int, ...]) -> Float32[np.ndarray, "c h w"]:
    """Logits [1, c, h', w'] as probabilities [c, h, w]. Logits are enlarged, not probabilities: edges stay sharp."""
    import torch

    large = torch.nn.functional.interpolate(logits.float(), (shape[0], shape[1]), mode="bilinear", align_corners=False)
    return np.asarray(large.softmax(1)[0].cpu().numpy(), np.float32)


def _check_classes(found: int, labels: LabelMap, where: Path) -> None:
    if found != labels.n_classes:
        raise MissingWeightsError(
            f"{where} has {found} classes and the label map {labels.name} {labels.n_classes}; declare the right map"
        )


def _default_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
