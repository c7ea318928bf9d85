"""Photographs of strangers: what becomes of each, as one contact sheet a portrait and a table.

    python -m benchmarks.portraits --folder ../shared/portraits
    python -m benchmarks.portraits --folder ../shared/portraits --only long_hair --labels benchmarks/portrait_parts.json
    python -m benchmarks.portraits --folder ../shared/portraits --only glasses --build

`portrait_parts_held_out.json` holds three pictures that no threshold was chosen on: the child of that folder, and two
that packages ship (skimage's astronaut.png and matplotlib's grace_hopper.jpg; put them into a folder).

A sheet shows the crop, its parts and the fitted head; the animator's frames at rest, turned, nodding, blinking and
smiling; the lifted head alone from all around (the body is a picture's plane); and, with --build, the finished avatar
from all around. The table measures what a person sees in them:
descriptor distance to the photograph at every angle ("–" where dlib finds no face), the area of the parts in squared
face widths, hair that is cut off, holes and gaps in the person, whether guessed hair looks like photographed hair
(`benchmarks.portrait_surface`), edges around shut eyes and the shape of the lips (`benchmarks.portrait_face`). Sheets
show strangers' faces: they are written to a folder of your own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from benchmarks.portrait_face import lid_edge, lips_at_rest
from benchmarks.portrait_labels import class_ious, iou_table
from benchmarks.portrait_surface import SurfaceMeasures, measure_surface
from perse.attributes import Part
from perse.data import PortraitClip, TrackedPortrait
from perse.data.images import encode_image, read_portrait
from perse.errors import PortraitError
from perse.geometry import orbit
from perse.head import HeadModel, HeadParameters, Joint, pose_head
from perse.head.embedded import embedded_head
from perse.identity import DlibEmbedder, identity_distance
from perse.synthesis.procedural.animator import ProceduralAnimator, ProceduralAnimatorConfig
from perse.synthesis.procedural.animator.frames import clip_setting, draw_frames
from perse.synthesis.screen import around_face
from perse.synthesis.seams import Shot
from perse.tracking import MediapipeTracker, MediapipeTrackerConfig
from perse.tracking.crop import surely_shown
from perse.tracking.landmarks import CHIN
from perse.tracking.overlay import CONTOURS
from perse.tracking.part_picture import overlay_parts
from perse.training.parsing.part_polygons import read_labels

Image = NDArray[np.uint8]

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif")
YAWS, PITCHES = (-40, -20, 0, 20, 40), (-20, 20)
FRAME_PX = 512
MEASURED = (Part.HAIR, Part.CLOTHES, Part.HEADWEAR, Part.BEARD, Part.NECK)
ORBIT_DEG = tuple(range(0, 360, 45))


@dataclass(frozen=True)
class View:
    """One pose to film: its caption, the head's (yaw, pitch) in degrees and the actions that are at full strength."""

    name: str
    angles: tuple[float, float] = (0.0, 0.0)
    actions: tuple[str, ...] = ()


VIEWS = (
    *(View(f"yaw {yaw:+d}", (yaw, 0)) for yaw in YAWS),
    *(View(f"pitch {pitch:+d}", (0, pitch)) for pitch in PITCHES),
    View("blink", actions=("eyeBlinkLeft", "eyeBlinkRight")),
    View("smile", actions=("mouthSmileLeft", "mouthSmileRight", "cheekSquintLeft", "cheekSquintRight")),
)


@dataclass(frozen=True)
class Result:
    """A line of the table.

    Attributes:
        name: of the file.
        refused: the tracker's reason, or empty.
        distances: descriptor distance by view; None where no face was found.
        areas: by part, squared face widths.
        cut_hair: see `cut_hair`.
        beside: see `beside_body`.
        surface: holes, gaps and guessed hair.
        lids: see `lid_edge`.
        lips: see `lips_at_rest`.
        seconds: for tracking, and for lifting and filming.
    """

    name: str
    refused: str = ""
    distances: dict[str, float | None] | None = None
    areas: dict[str, float] | None = None
    cut_hair: float = 0.0
    beside: float = 0.0
    surface: SurfaceMeasures | None = None
    lids: float = 0.0
    lips: tuple[float, float] | None = None
    seconds: tuple[float, float] = (0.0, 0.0)


def motion_of(views: tuple[View, ...], model: HeadModel) -> HeadParameters:
    """The views as a motion with the neutral expression otherwise."""
    expression, pose = torch.zeros(len(views), model.n_expression), torch.zeros(len(views), model.n_joints, 3)
    for index, view in enumerate(views):
        turn = Rotation.from_euler("YX", view.angles, degrees=True).as_rotvec()
        pose[index, Joint.NECK] = torch.from_numpy(turn).float()
        for action in view.actions:
            expression[index, model.expression_names.index(action)] = 1.0
    return HeadParameters(torch.zeros(model.n_shape), torch.zeros(model.n_vertices, 3), expression, pose)


def cut_hair(clip: PortraitClip) -> float:
    """Share of the hair that hangs together with nothing on the head, the worst of all frames: strands cut off at the
    shoulders stay behind when the head turns."""
    worst = 0.0
    for parts in clip.parts:
        hair = (parts == Part.HAIR).astype(np.uint8)
        stats = cv2.connectedComponentsWithStats(hair)[2]
        if len(stats) > 2:
            sizes = stats[1:, cv2.CC_STAT_AREA]
            worst = max(worst, 1 - float(sizes.max() / sizes.sum()))
    return worst


def beside_body(clip: PortraitClip, portrait: TrackedPortrait) -> float:
    """Area that the frame at rest shows below the chin where the photograph shows background, squared face widths: a
    bust that this person does not have."""
    width = portrait.face_width_px
    shown = cv2.resize(clip.parts[YAWS.index(0)], portrait.inside.shape[::-1], interpolation=cv2.INTER_NEAREST)
    background = (portrait.masks.person < 25) & (surely_shown(portrait.inside, width) > 0)
    background[: int(portrait.landmarks_px[CHIN, 1] + 0.1 * width)] = False
    away = cv2.erode(background.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0  # outlines may differ by a pixel
    return float(((shown != Part.BACKGROUND) & away).sum()) / width**2


def all_around(animator: ProceduralAnimator, portrait: TrackedPortrait, model: HeadModel) -> list[Image]:
    """The lifted head at rest from every angle of `ORBIT_DEG`, without the body layer."""
    lifted, rest = animator.lift(portrait), motion_of((View("rest"),), model)
    body = replace(lifted.body, alpha=0 * lifted.body.alpha, labels=0 * lifted.body.labels)
    frames: list[Image] = []
    centre = pose_head(model, rest.with_identity(portrait.head)).vertices[0].mean(0)
    for angle in ORBIT_DEG:
        seen = orbit(portrait.camera, centre, float(np.radians(angle)))
        setting = clip_setting(replace(lifted, body=body, camera=seen), FRAME_PX // 2, 2)
        frames += [frame.image for frame in draw_frames(setting, rest)]
    return frames


def fitted(portrait: TrackedPortrait, model: HeadModel) -> Image:
    """The crop with the detected landmarks (blue) and the fitted head's contours (green)."""
    picture = portrait.image.copy()
    for x, y in portrait.landmarks_px[:, :2]:
        cv2.circle(picture, (int(x), int(y)), 1, (70, 130, 250), -1, cv2.LINE_AA)
    points = portrait.camera.project(model.landmarks(pose_head(model, portrait.head).vertices))[0].numpy()
    place = {int(mark): index for index, mark in enumerate(model.landmark_ids)}
    for contour, closed in CONTOURS:
        line = np.array([points[place[mark]] for mark in contour if mark in place])
        cv2.polylines(picture, [np.round(line * 16).astype(np.int32)], closed, (80, 220, 90), 1, cv2.LINE_AA, 4)
    return picture


def captioned(picture: Image, text: str) -> Image:
    """A cell of the sheet."""
    cell = cv2.resize(picture, (FRAME_PX, FRAME_PX), interpolation=cv2.INTER_AREA)
    for color, thickness in (((255, 255, 255), 4), ((0, 0, 0), 1)):
        cv2.putText(cell, text, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.55, color, thickness, cv2.LINE_AA)
    return np.asarray(cell, np.uint8)


def sheet(rows: list[list[Image]]) -> Image:
    """Cells put together, rows filled up with white."""
    longest = max(len(row) for row in rows)
    blank = np.full((FRAME_PX, FRAME_PX, 3), 255, np.uint8)
    return np.concatenate([np.concatenate(row + [blank] * (longest - len(row)), 1) for row in rows])


def distances(portrait: TrackedPortrait, clip: PortraitClip) -> dict[str, float | None]:
    """Descriptor distance of every view to the crop; None without a face in either."""
    sure, near = DlibEmbedder(), DlibEmbedder(least_score=-0.6)

    def describe(image: Image) -> NDArray[np.float32] | None:
        found = sure.embed(image)
        return near.embed(around_face(image, portrait.landmarks_px)) if found is None else found

    own, found = describe(portrait.image), [describe(image) for image in clip.images]
    return {
        view.name: None if own is None or other is None else identity_distance(own, other)
        for view, other in zip(VIEWS, found, strict=True)
    }


def examine(
    path: Path, tracker: MediapipeTracker, model: HeadModel, out: Path
) -> tuple[Result, TrackedPortrait | None]:
    """Track and animate one picture, and write its sheet."""
    begin = time.perf_counter()
    try:
        portrait = tracker.track(read_portrait(path))
    except PortraitError as error:
        return Result(path.stem, refused=str(error)), None
    tracked = time.perf_counter()
    shot = Shot(np.arange(len(VIEWS), dtype=np.int32), motion_of(VIEWS, model), FRAME_PX)
    animator = ProceduralAnimatorConfig().build(model)
    clip = animator.animate(portrait, None, shot)
    finished = time.perf_counter()
    near = distances(portrait, clip)
    captions = [f"{view.name}  {_number(near[view.name])}" for view in VIEWS]
    frames = [captioned(image, text) for image, text in zip(clip.images, captions, strict=True)]
    first = [(portrait.image, "crop"), (overlay_parts(portrait.image, portrait.masks), "parts"),
             (fitted(portrait, model), f"fit {portrait.fit_rms_px:.2f} px")]  # fmt: skip
    around = [
        captioned(image, f"camera {angle}")
        for image, angle in zip(all_around(animator, portrait, model), ORBIT_DEG, strict=True)
    ]
    half = len(ORBIT_DEG) // 2
    rows = [[captioned(picture, text) for picture, text in first], frames[: len(YAWS)], frames[len(YAWS) :]]
    rows += [around[:half], around[half:]]
    (out / f"{path.stem}.png").write_bytes(encode_image(sheet(rows)))
    unit = portrait.face_width_px**2
    areas = {part.name.lower(): float(portrait.masks[part].sum()) / unit for part in MEASURED}
    names = [view.name for view in VIEWS]
    blink = names.index("blink")
    result = Result(
        path.stem,
        distances=near,
        areas=areas,
        cut_hair=cut_hair(clip),
        beside=beside_body(clip, portrait),
        surface=measure_surface(animator, portrait, clip),
        lids=lid_edge(clip.images[blink], portrait, model, shot.motion.expression[blink].numpy()),
        lips=lips_at_rest(clip.images[YAWS.index(0)]),
        seconds=(tracked - begin, finished - tracked),
    )
    return result, portrait


def build(path: Path, out: Path) -> Image:
    """Build the avatar with the laptop recipe and film it from all around: a row of cells."""
    root, workspace = Path(__file__).parents[1], out / f"{path.stem}-avatar"
    jobs = [
        ["build_avatar.py", "--recipe", "laptop", "--portrait", str(path.absolute()), "--workspace", str(workspace)],
        ["render.py", "turntable", "--workspace", str(workspace), "--frames", str(len(ORBIT_DEG)), "--size", "512",
         "--reach", "180", "--out", str(workspace / "orbit.png")],
    ]  # fmt: skip
    for job in jobs:
        subprocess.run([sys.executable, str(root / "jobs" / job[0]), *job[1:]], check=True, cwd=root)
    strip = read_portrait(workspace / "orbit.png")
    side = strip.shape[0]
    cells = [
        captioned(np.ascontiguousarray(strip[:, n * side : (n + 1) * side]), f"camera {angle}")
        for n, angle in enumerate(ORBIT_DEG)
    ]
    return sheet([cells])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def table(results: list[Result]) -> str:
    """All lines as Markdown."""
    names = [view.name for view in VIEWS]
    heads = [
        "portrait",
        *names,
        *(part.name.lower() for part in MEASURED),
        "cut hair",
        "beside",
        "holes",
        "gaps",
        "grain",
        "step",
        "lid edge",
        "lips h/w",
        "red below",
        "track s",
        "animate s",
    ]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for result in results:
        if result.distances is None or result.areas is None or result.surface is None:
            lines.append(f"| {result.name} | refused: {result.refused} |" + " |" * (len(heads) - 2))
            continue
        cells = [_number(result.distances[name]) for name in names]
        cells += [f"{area:.2f}" for area in result.areas.values()]
        cells += [f"{result.cut_hair:.0%}", f"{result.beside:.3f}"]
        if (found := result.surface) is not None:
            cells += [f"{found.holes:.2%}", f"{found.gaps:.2%}", _number(found.grain), _number(found.step)]
        cells += [f"{result.lids:.3f}"]
        cells += ["–", "–"] if result.lips is None else [f"{result.lips[0]:.2f}", f"{result.lips[1]:.1f}"]
        cells += [f"{seconds:.1f}" for seconds in result.seconds]
        lines.append(f"| {result.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Examine a folder."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--folder", type=Path, required=True, help="pictures to try")
    options.add_argument("--only", default="", help="only files whose names contain this")
    options.add_argument("--out", type=Path, default=Path("runs/portraits"), help="where the sheets go")
    options.add_argument("--labels", type=Path, nargs="+", default=[], help="hand-drawn parts to compare with (JSON)")
    options.add_argument("--build", action="store_true", help="also build each avatar: ten core-minutes apiece")
    options.add_argument("--json", type=Path, help="also write the numbers to this file")
    chosen = options.parse_args()
    paths = [path for path in sorted(chosen.folder.iterdir()) if path.suffix.lower() in ENDINGS]
    paths = [path for path in paths if chosen.only in path.name]
    chosen.out.mkdir(parents=True, exist_ok=True)
    model = embedded_head()
    tracker = MediapipeTracker(MediapipeTrackerConfig(), model)
    labels = [label for path in chosen.labels for label in read_labels(path)]
    results, compared = [], {}
    for path in paths:
        result, portrait = examine(path, tracker, model, chosen.out)
        results.append(result)
        print(f"{path.name}: {result.refused or chosen.out / f'{path.stem}.png'}", flush=True)
        if portrait is not None:
            for label in labels:
                if label.matches(path):
                    crop = tracker.locate(read_portrait(path)).crop
                    compared[path.stem] = class_ious(portrait.masks, label.in_crop(crop))
        if chosen.build and portrait is not None:
            (chosen.out / f"{path.stem}-orbit.png").write_bytes(encode_image(build(path, chosen.out)))
    print("\n" + table(results))
    if compared:
        print("\n" + iou_table(compared))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps([asdict(result) for result in results], indent=1))


if __name__ == "__main__":
    main()
