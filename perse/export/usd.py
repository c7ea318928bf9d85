"""OpenUSD: a ``ParticleField3DGaussianSplat`` (UsdVol, since 26.03), its animation as time samples.

Stage metres and y up: our frame. What does not change over the frames is stored once. Colours are the zeroth spherical
harmonic, as 3DGS has them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy.typing import NDArray

from perse.errors import InputError, MissingWeightsError
from perse.export.provenance import KEY, Provenance
from perse.export.scene import SplatScene
from perse.export.splat_files import SH_C0
from perse.gaussians import Gaussians

if TYPE_CHECKING:
    from collections.abc import Callable

PRIM = "/Avatar/Splats"
REACH = 3.0
"""Standard deviations that the extent covers."""


def usd_bytes(scene: SplatScene, provenance: Provenance) -> bytes:
    """A binary ``.usdc`` (any USD program opens it as ``.usd`` too).

    Raises:
        MissingWeightsError: the package usd-core is not installed.
    """
    Usd, UsdGeom, UsdVol, Vt = _library()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "avatar.usdc"
        stage = Usd.Stage.CreateNew(str(path))
        UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
        UsdGeom.SetStageMetersPerUnit(stage, 1.0)
        stage.SetDefaultPrim(UsdGeom.Xform.Define(stage, "/Avatar").GetPrim())
        stage.GetRootLayer().customLayerData = {KEY: provenance.to_json()}
        stage.GetRootLayer().documentation = provenance.statement
        if scene.n_frames > 1:
            stage.SetStartTimeCode(0)
            stage.SetEndTimeCode(scene.n_frames - 1)
            stage.SetTimeCodesPerSecond(scene.fps)
            stage.SetFramesPerSecond(scene.fps)
        splats = UsdVol.ParticleField3DGaussianSplat.Define(stage, PRIM)
        splats.CreateProjectionModeHintAttr(UsdVol.Tokens.perspective)
        splats.CreateSortingModeHintAttr(UsdVol.Tokens.zDepth)
        splats.CreateRadianceSphericalHarmonicsDegreeAttr(0)
        g = scene.gaussians
        columns: list[tuple[Any, Callable[[NDArray[np.float32]], Any], torch.Tensor]] = [
            (splats.CreatePositionsAttr(), Vt.Vec3fArray.FromNumpy, g.means),
            (splats.CreateScalesAttr(), Vt.Vec3fArray.FromNumpy, g.scales),
            (splats.CreateOpacitiesAttr(), Vt.FloatArray.FromNumpy, g.opacities),
            # The library's quaternion arrays take xyzw from numpy, the memory layout of Gf.Quatf.
            (splats.CreateOrientationsAttr(), Vt.QuatfArray.FromNumpy, g.quats[..., [1, 2, 3, 0]]),
            (
                splats.CreateRadianceSphericalHarmonicsCoefficientsAttr(),
                Vt.Vec3fArray.FromNumpy,
                (g.colors - 0.5) / SH_C0,
            ),
            (splats.CreateExtentAttr(), Vt.Vec3fArray.FromNumpy, _extents(g)),
        ]
        for attribute, convert, values in columns:
            _set(attribute, convert, values.numpy().astype(np.float32), Usd.TimeCode)
        stage.GetRootLayer().Save()
        return path.read_bytes()


def read_usd(path: Path) -> tuple[Gaussians, float]:
    """Gaussians [f, n] and frames a second of a file that `usd_bytes` made. Trusted input only.

    Raises:
        InputError: it holds no Gaussian splats.
    """
    Usd, _, UsdVol, _ = _library()
    stage = Usd.Stage.Open(str(path))
    prims = [p for p in stage.Traverse() if p.IsA(UsdVol.ParticleField3DGaussianSplat)] if stage else []
    if not prims:
        raise InputError(f"{path.name} holds no ParticleField3DGaussianSplat")
    splats = UsdVol.ParticleField3DGaussianSplat(prims[0])
    frames = int(stage.GetEndTimeCode() - stage.GetStartTimeCode()) + 1 if stage.HasAuthoredTimeCodeRange() else 1

    def column(attribute: Any) -> torch.Tensor:
        return torch.stack([torch.from_numpy(np.array(attribute.Get(float(f)), np.float32)) for f in range(frames)])

    quats = torch.stack([_wxyz(splats.GetOrientationsAttr().Get(float(f))) for f in range(frames)])
    gaussians = Gaussians(
        column(splats.GetPositionsAttr()),
        quats,
        column(splats.GetScalesAttr()),
        column(splats.GetOpacitiesAttr()),
        0.5 + SH_C0 * column(splats.GetRadianceSphericalHarmonicsCoefficientsAttr()),
    )
    return gaussians, float(stage.GetTimeCodesPerSecond())


def usd_provenance(path: Path) -> str | None:
    """The provenance record's JSON, if the file has one.

    Raises:
        InputError: it is not a USD file.
    """
    from pxr import Sdf, Tf

    try:
        layer = Sdf.Layer.OpenAsAnonymous(str(path), metadataOnly=True)
    except Tf.ErrorException:
        layer = None
    if layer is None:
        raise InputError(f"{path.name} cannot be read as USD")
    value = layer.customLayerData.get(KEY)
    return value if isinstance(value, str) else None


def _set(attribute: Any, convert: Any, values: Float32[np.ndarray, "f ..."], time_code: Any) -> None:
    """Values [f, …] as one default or as samples, one a frame."""
    if (values == values[:1]).all():
        attribute.Set(convert(np.ascontiguousarray(values[0])))
        return
    for frame, value in enumerate(values):
        attribute.Set(convert(np.ascontiguousarray(value)), time_code(frame))


def _extents(gaussians: Gaussians) -> Float[torch.Tensor, "f 2 3"]:
    """[f, 2, 3]: the box around the Gaussians, by their largest axis."""
    reach = REACH * gaussians.scales.amax(-1, keepdim=True)
    return torch.stack([(gaussians.means - reach).amin(-2), (gaussians.means + reach).amax(-2)], -2)


def _wxyz(quaternions: Any) -> Float[torch.Tensor, "... 4"]:
    return torch.tensor([[q.GetReal(), *q.GetImaginary()] for q in quaternions])


def _library() -> tuple[Any, ...]:
    try:
        from pxr import Usd, UsdGeom, UsdVol, Vt
    except ImportError:
        raise MissingWeightsError("writing USD needs the package usd-core: pip install usd-core") from None
    return Usd, UsdGeom, UsdVol, Vt
