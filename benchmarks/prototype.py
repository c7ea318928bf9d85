"""Another numba rasterizer, loaded from a file, beside ours.

The file has a class ``Rast`` with ``fwd(means_px [n, 2], conics [n, 3], colors [n, 3], opacities [n], depths [n],
width, height)`` and ``bwd(g_colors [h, w, 3], g_transmittances [h, w])``, all float32: splats that have been projected.
the prototype of docs/reference.md#rasterizing-on-a-cpu is one; it is no part of this repository.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perse.gaussians import Gaussians
from perse.geometry import Camera
from perse.render.reference import project
from perse.render.threads import limited_threads


@dataclass(frozen=True)
class Prototype:
    """What the file has to offer."""

    module: Any

    @classmethod
    def load(cls, path: Path) -> Prototype:
        spec = importlib.util.spec_from_file_location("prototype", path)
        if spec is None or spec.loader is None:
            raise SystemExit(f"{path} is no Python file")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return cls(module)

    def run(self, gaussians: Gaussians, cameras: Camera, *, threads: int, backward: bool) -> Callable[[], None]:
        """Draw n Gaussians in the first of the cameras; with ``backward``, take gradients too."""
        width, height = cameras.width, cameras.height
        camera = Camera(cameras.world_to_camera[0], cameras.intrinsics[0], width, height)
        screen, rasterizer = project(gaussians, camera), self.module.Rast()
        conics = screen.conics.flatten(1)[:, [0, 1, 3]]
        tensors = (screen.means_px, conics, gaussians.colors, gaussians.opacities, screen.depths)
        splats = [np.ascontiguousarray(values.numpy()) for values in tensors]
        rng = np.random.default_rng(0)
        g_colors = rng.normal(size=(height, width, 3)).astype(np.float32)
        g_light = rng.normal(size=(height, width)).astype(np.float32)

        def run() -> None:
            with limited_threads(threads):
                rasterizer.fwd(*splats, width, height)
                if backward:
                    rasterizer.bwd(g_colors, g_light)

        return run
