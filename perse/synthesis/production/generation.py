"""Common parts of all diffusion pipelines: loading from a folder, seeds per row, prompts encoded once, batches.

Nothing here imports torch or diffusers before a pipeline is loaded.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from safetensors import SafetensorError

from perse.errors import GenerationError, MissingWeightsError
from perse.shapes import Picture

log = logging.getLogger(__name__)

Outcome = Picture | GenerationError
"""A picture, or why there is none."""

_FLAT_LEVELS = 4.0
"""A picture whose grey levels (of 255) vary less than this shows nothing."""

Item = TypeVar("Item")

LESS_MEMORY = "choose a smaller size_px, offload=True, or a larger GPU"
"""What to do where a pipeline of diffusers does not fit."""


@dataclass(frozen=True, kw_only=True)
class PipelineSettings:
    """Settings of a pipeline; pictures depend on the precision a little and on nothing else."""

    precision: str = "bfloat16"
    """"bfloat16", "float16" or "float32". A CPU always computes in float32."""
    offload: bool = True
    """Keep only the model that is at work on the GPU: FLUX then fits into 24 GB, at about 10 % of the speed."""
    batch_size: int = 4
    """Rows computed together; halved, for the rest of the run, when memory does not suffice."""
    encoded_prompts: int = 256
    """Prompt embeddings kept in memory (about 4 MB each with FLUX's T5)."""

    def __post_init__(self) -> None:
        if self.precision not in ("bfloat16", "float16", "float32") or self.batch_size < 1:
            raise ValueError(f"precision must be bfloat16, float16 or float32, batch_size positive; got {self}")


def load_pipeline(pipeline_class: Any, folder: Path, settings: PipelineSettings, **parts: Any) -> Any:
    """A pipeline from a local folder, safetensors only, ready on the device.

    Args:
        parts: components that replace the folder's own (ControlNet, VAE).

    Raises:
        MissingWeightsError: the folder does not hold such a pipeline.
    """
    try:
        pipeline = pipeline_class.from_pretrained(folder, **_where(folder, settings), **parts)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise MissingWeightsError(f"{folder} does not hold a {pipeline_class.__name__}: {_first(error)}") from error
    pipeline.set_progress_bar_config(disable=True)
    if device() == "cpu":
        return pipeline
    if settings.offload:
        pipeline.enable_model_cpu_offload()
        return pipeline
    return pipeline.to(device())


def load_model(model_class: Any, folder: Path, settings: PipelineSettings) -> Any:
    """A single model (ControlNet, VAE) from a local folder.

    Raises:
        MissingWeightsError: the folder does not hold such a model.
    """
    try:
        return model_class.from_pretrained(folder, **_where(folder, settings)).eval()
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise MissingWeightsError(f"{folder} does not hold a {model_class.__name__}: {_first(error)}") from error


def device() -> str:
    """Device on which pipelines run."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _where(folder: Path, settings: PipelineSettings) -> dict[str, Any]:
    import torch

    half = any(folder.rglob("*.fp16.safetensors"))
    return {
        "torch_dtype": torch.float32 if device() == "cpu" else getattr(torch, settings.precision),
        "local_files_only": True,
        "use_safetensors": True,
        **({"variant": "fp16"} if half else {}),
    }


def seeded(seeds: Sequence[int]) -> list[Any]:
    """Generators, one a row, on the CPU, so that a row's picture depends on its own seed and on no neighbour or GPU."""
    import torch

    return [torch.Generator("cpu").manual_seed(seed % 2**63) for seed in seeds]


class PromptCache:
    """Cache of the embeddings of sentences, each computed once.

    Args:
        encode: sentences → for each of them a tuple of tensors with a leading [1].
        size: how many are kept, the latest used.
    """

    def __init__(self, encode: Callable[[list[str]], list[tuple[Any, ...]]], size: int) -> None:
        self._encode = encode
        self._size = size
        self._known: dict[str, tuple[Any, ...]] = {}

    def __call__(self, texts: Sequence[str]) -> tuple[Any, ...]:
        """The embeddings of sentences, stacked: each tensor with a leading [b]."""
        import torch

        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            with torch.inference_mode():
                self._known.update(zip(new, self._encode(new), strict=True))
        found = [self._known.pop(text) if text in self._known else () for text in dict.fromkeys(texts)]
        self._known.update(zip(dict.fromkeys(texts), found, strict=True))  # to the end: used last
        rows = [self._known[text] for text in texts]
        while len(self._known) > self._size:
            del self._known[next(iter(self._known))]
        return tuple(torch.cat(parts) for parts in zip(*rows, strict=True))


def rows_of(*tensors: Any) -> list[tuple[Any, ...]]:
    """Rows of tensors with a leading [b]: one tuple a row, each with a leading [1]; kept on the CPU."""
    return [tuple(tensor[i : i + 1].cpu() for tensor in tensors) for i in range(len(tensors[0]))]


class Batches(Generic[Item]):
    """Caller of a function on batches, which are halved where memory does not suffice.

    Attributes:
        size: rows a batch; shrinks for good, since what did not fit once will not fit next time.
        remedy: what to do when not even one row fits; names settings that the caller has.
    """

    def __init__(self, size: int, remedy: str) -> None:
        self.size, self.remedy = size, remedy

    def run(self, items: Sequence[Item], call: Callable[[Sequence[Item]], list[Outcome]]) -> list[Outcome]:
        """Outcomes, one an item, in order. An item that does not fit alone is a GenerationError among them."""
        results: list[Outcome] = []
        while len(results) < len(items):
            chunk = items[len(results) : len(results) + self.size]
            outcome = _attempt(call, chunk)
            if outcome is not None:
                results += outcome
                continue
            free_memory()  # only here has the failed call's stack let go of its tensors
            if len(chunk) > 1:
                self.size = len(chunk) // 2
                log.warning("out of memory with %d rows at once; going on with %d", len(chunk), self.size)
            else:
                results.append(GenerationError(f"out of memory with a single picture: {self.remedy}"))
        return results


def _attempt(call: Callable[[Sequence[Item]], list[Outcome]], chunk: Sequence[Item]) -> list[Outcome] | None:
    """The outcomes, or None when memory ran out."""
    try:
        return call(chunk)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        return None


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, of a GPU or of this machine, did not suffice."""
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return any(
        words in str(error).lower() for words in ("out of memory", "can't allocate memory", "cublas_status_alloc")
    )


def free_memory() -> None:
    """Give back what is not in use."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def outcomes(output: Any, sizes: Sequence[tuple[int, int]]) -> list[Outcome]:
    """The pictures of a pipeline's output (``output_type="np"``); what cannot be used is an error.

    Args:
        sizes: height and width of each result.
    """
    flagged = getattr(output, "nsfw_content_detected", None) or [False] * len(output.images)
    return [
        _checked(np.asarray(picture), bool(flag), size)
        for picture, flag, size in zip(output.images, flagged, sizes, strict=True)
    ]


def _checked(picture: Float[np.ndarray, "h w 3"], flagged: bool, size: tuple[int, int]) -> Outcome:
    if flagged:
        return GenerationError(
            "the pipeline's safety filter withheld the picture; reword the prompt or change the seed"
        )
    if not np.isfinite(picture).all():
        return GenerationError(
            "the pipeline returned NaN, as half precision does with some VAEs; use bfloat16 or float32"
        )
    levels = np.asarray(picture, np.float32) * 255
    if float(levels.std()) < _FLAT_LEVELS:
        what = "black" if float(levels.mean()) < 16 else "uniform"
        return GenerationError(f"the pipeline returned a {what} picture; change the seed, precision or VAE")
    whole = np.round(levels).clip(0, 255).astype(np.uint8)
    return resized(whole, size)


def resized(image: UInt8[np.ndarray, "h w *c"], size: tuple[int, int]) -> UInt8[np.ndarray, "h2 w2 *c"]:
    """A picture at another height and width, by areas where it shrinks and cubic where it grows."""
    if image.shape[:2] == size:
        return image
    method = cv2.INTER_AREA if size[0] < image.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (size[1], size[0]), interpolation=method), np.uint8)


def _first(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
