"""Compare animators by self-reenactment (P Table 5): each video's first frame, animated by the video's own motion.

    perse evaluate-animators --videos mine/
    perse evaluate-animators --videos mine/ --champ runs/champ-tiny/weights --out runs/animators
    perse evaluate-animators --videos mine/ --frames 100 --size 512

Writes one table (metrics.json, and on the terminal) and one strip of pictures a video: the video, then every animator
at hand. The procedural animator always is; LivePortrait with its weights (perse models list), portrait-Champ
with weights that `perse train-champ` made. PSNR and SSIM are over whole pictures on white, without the first
frame; LPIPS needs VGG-16's weights, FID and KID Inception's (`perse models list`: inception-fid). The last two compare
all frames that an animator filmed with the same frames of the videos; they fall with the number of frames, so only
tables of equal numbers compare (sets.json says how many).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import TYPE_CHECKING

from perse.errors import InputError, MissingWeightsError, PerseError
from perse_ray.commands.command_line import parsed, recipe_of, run_command

if TYPE_CHECKING:
    from perse.evaluation.learned_distance import LearnedDistance
    from perse.evaluation.metrics import SetDistances
    from perse.evaluation.reenactment import DrivingVideo, FilmedSets, ReenactmentScores
    from perse.head import HeadModel
    from perse.shapes import Frames
    from perse.synthesis.seams import AnimatorConfig, PortraitAnimator


REPEATED = "first frame repeated"
"""Row of the table that every animator has to beat."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The videos, and who animates."""

    videos: Path
    """Folder with videos of one person each."""

    champ: Path | None = None
    """Folder with portrait-Champ's weights; left out, the recipe's are looked for."""

    out: Path = Path("runs/animators")
    """Folder for the table and the strips."""

    frames: int = 24
    """Frames of a video at most, spread evenly."""

    size: int = 256
    """Width and height that is compared at, pixels."""

    recipe: str = "laptop"
    """Recipe whose head, tracker and procedural animator are used."""


def main(arguments: Arguments) -> None:
    """Track, film, compare, write."""
    from perse.data.durable_files import write_file_atomically
    from perse.data.images import encode_image
    from perse.evaluation.reenactment import SceneMaker, comparison_strip, score
    from perse.tracking.video_tracker import VideoTrackerConfig

    paths = _videos(arguments)
    recipe = recipe_of(arguments.recipe, None)
    head = recipe.head.load()
    animators = _animators(arguments, head)
    learned, sets = _learned(), _sets()
    maker = SceneMaker(head, recipe.tracker.build(head), VideoTrackerConfig(), arguments.size)
    table: dict[str, dict[str, ReenactmentScores]] = {}
    for path in paths:
        print(f"{path.name}: tracking", flush=True)
        try:
            scene = maker.make(path, arguments.frames)
        except PerseError as error:
            print(f"  not used: {' '.join(str(error).split())}")
            continue
        pictures = _filmed(scene, animators)
        scores = {name: score(one, scene, learned) for name, one in pictures.items()}
        table[scene.name] = scores
        if sets is not None:
            sets.add(scene, pictures)
        place = arguments.out / f"{path.stem}.png"
        write_file_atomically(place, encode_image(comparison_strip([scene.truth, *pictures.values()])))
        print(f"  {place}: from above: the video, {', '.join(scores)}", flush=True)
    if not table:
        raise InputError(f"no video in {arguments.videos} can be used; the lines above say why")
    found = {video: {name: asdict(one) for name, one in rows.items()} for video, rows in table.items()}
    write_file_atomically(arguments.out / "metrics.json", json.dumps(found, indent=2, sort_keys=True).encode())
    distances = sets.distances() if sets is not None else {}
    if sets is not None:
        kept = {name: asdict(one) for name, one in distances.items()}
        write_file_atomically(arguments.out / "sets.json", json.dumps(kept, indent=2, sort_keys=True).encode())
    print("\n".join(["", *table_lines(table, distances), "", f"{arguments.out}/metrics.json"]))


def table_lines(
    table: dict[str, dict[str, ReenactmentScores]], distances: Mapping[str, SetDistances] = MappingProxyType({})
) -> list[str]:
    """Lines of the table, one an animator: means over the videos that it could film, and distances of all that it
    filmed."""
    names = dict.fromkeys(name for scores in table.values() for name in scores)
    lines = [f"{'':24}{'PSNR':>8}{'SSIM':>9}{'LPIPS':>9}{'FID':>9}{'KID':>9}{'videos':>8}"]
    for name in names:
        rows = [scores[name] for scores in table.values() if name in scores]
        lpips = [row.lpips for row in rows if row.lpips is not None]
        learned = f"{fmean(lpips):9.4f}" if lpips else f"{'–':>9}"
        psnr, ssim = fmean([row.psnr for row in rows]), fmean([row.ssim for row in rows])
        found = distances.get(name)
        whole = f"{found.frechet:9.2f}{found.kernel:9.4f}" if found is not None else f"{'–':>9}{'–':>9}"
        lines.append(f"{name:24}{psnr:8.2f}{ssim:9.4f}{learned}{whole}{len(rows):5d}/{len(table)}")
    return lines


def _filmed(scene: DrivingVideo, animators: dict[str, PortraitAnimator]) -> dict[str, Frames]:
    """Pictures by animator; who cannot film the scene is left out with a line."""
    from perse.evaluation.reenactment import first_frame_repeated, reenact

    pictures = {REPEATED: first_frame_repeated(scene)}
    for name, animator in animators.items():
        print(f"  {name}", flush=True)
        try:
            pictures[name] = reenact(scene, animator)
        except PerseError as error:
            print(f"  {name} cannot film it: {' '.join(str(error).split())}")
    return pictures


def _animators(arguments: Arguments, head: HeadModel) -> dict[str, PortraitAnimator]:
    """Everybody who can be built here; who cannot says why."""
    from perse.recipes.champ import champ_recipe_named
    from perse.synthesis.procedural.animator import ProceduralAnimatorConfig
    from perse.synthesis.production.liveportrait import LivePortraitConfig, RenderedDriving
    from perse.synthesis.production.portrait_champ.storage import recipe_of_folder
    from perse.synthesis.production.segmenter import LandmarkSegmenterConfig

    if arguments.champ is not None:
        champ = champ_recipe_named(recipe_of_folder(arguments.champ)).animator(arguments.champ)
    else:
        from perse.synthesis.production.portrait_champ import PortraitChampConfig

        champ = PortraitChampConfig()
    live = LivePortraitConfig(
        driving=RenderedDriving(film=ProceduralAnimatorConfig()), segmenter=LandmarkSegmenterConfig()
    )
    known: dict[str, AnimatorConfig] = {
        "procedural": ProceduralAnimatorConfig(),
        "LivePortrait": live,
        "portrait-Champ": champ,
    }
    built: dict[str, PortraitAnimator] = {}
    for name, config in known.items():
        try:
            built[name] = config.build(head)
        except MissingWeightsError as error:
            if name == "portrait-Champ" and arguments.champ is not None:
                raise
            print(f"{name} is not at hand: {' '.join(str(error).split())}")
    return built


def _learned() -> LearnedDistance | None:
    from perse.evaluation.learned_distance import LearnedDistance
    from perse.synthesis.production.model_store import store_root

    try:
        return LearnedDistance(store_root() / "vgg16" / "model.safetensors")
    except MissingWeightsError as error:
        print(f"LPIPS is not measured: {error}")
        return None


def _sets() -> FilmedSets | None:
    import numpy as np

    from perse.evaluation.metrics.sets import InceptionFeatures
    from perse.evaluation.reenactment import FilmedSets

    try:
        features = InceptionFeatures()
        features(np.zeros((1, 64, 64, 3), np.uint8))  # another network is refused now, not after an hour of filming
        return FilmedSets(features)
    except MissingWeightsError as error:
        print(f"FID and KID are not measured: {' '.join(str(error).split())}")
        return None


def _videos(arguments: Arguments) -> list[Path]:
    from perse.tracking.video_file import SUFFIXES

    if not arguments.videos.is_dir():
        raise InputError(f"there is no folder {arguments.videos}; give a folder with videos")
    if arguments.frames < 2 or not 32 <= arguments.size <= 1024:
        raise InputError(f"--frames must be at least 2 and --size 32 to 1024, got {arguments.frames}, {arguments.size}")
    found = sorted(path for path in arguments.videos.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise InputError(f"there is no video in {arguments.videos}; expected files that end in {', '.join(SUFFIXES)}")
    return found


def run(words: Sequence[str] | None = None) -> int:
    """Run the command with words of a command line, the process's by default; returns the exit code."""
    arguments = parsed("evaluate-animators", Arguments, __doc__, words)
    return run_command(lambda: main(arguments))
