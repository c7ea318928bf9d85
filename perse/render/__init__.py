"""Gaussian rasterizers and the mesh z-buffer."""

from perse.render.cpu import CpuRasterizer
from perse.render.gsplat import GsplatRasterizer
from perse.render.mesh import MeshFragments, project_vertices, rasterize_mesh
from perse.render.rasterization import Rasterizer, Rendering, check_device, rasterize
from perse.render.reference import ReferenceRasterizer

__all__ = [
    "CpuRasterizer",
    "GsplatRasterizer",
    "MeshFragments",
    "Rasterizer",
    "ReferenceRasterizer",
    "Rendering",
    "check_device",
    "project_vertices",
    "rasterize",
    "rasterize_mesh",
]
