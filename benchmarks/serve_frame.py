"""How long a served frame takes: a new pose each time, canonical Gaussians cached by latent.

    python -m benchmarks.serve_frame [--threads 2] [--avatar FOLDER] [--quick] [--json FILE]

15,000 Gaussians, 256², untrained unless an avatar's folder is given. The whole path of a request inside the server:
names to parameters, the cached canonical Gaussians, skeleton and pose, rasterization, eight-bit picture. Not HTTP and
not PNG. Sustained are frames of one client that asks for the next one when it has the last.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.command import parser, report
from benchmarks.imaginary import LAPTOP_NETWORKS, imaginary_avatar
from benchmarks.timing import Row, interleaved, on_threads
from perse.avatar import Avatar, NetworksConfig, PartBasesConfig, load_avatar
from perse.head import HeadParameters
from perse.render import rasterize
from perse_ray.serving.drawing.loaded_avatar import LoadedAvatar
from perse_ray.serving.schema.requests import RenderRequest

STEPS = 97
"""Different poses before the first one comes again."""


def requests(avatar: Avatar, size_px: int) -> list[RenderRequest]:
    """A head that turns and opens its mouth, wearing the first edit."""
    card, edit = avatar.card, avatar.subjects[1]
    assert edit.category is not None
    poses = []
    for step in range(STEPS):
        turn = step / STEPS - 0.5
        expression = {name: 0.5 + turn for name in card.expression_names[:5]}
        pose = {card.joint_names[1]: (0.2 * turn, turn, 0.1), card.joint_names[2]: (0.2 + 0.2 * turn, 0.0, 0.0)}
        worn = {edit.category: {edit.key: 1.0}}
        size = {"width": size_px, "height": size_px}
        poses.append(RenderRequest(attributes=worn, expression=expression, pose=pose, **size))
    return poses


def contenders(avatar: Avatar, size_px: int, threads: int) -> dict[str, Callable[[], object]]:
    """A frame as the server makes it, without the cache, and its parts."""
    store = LoadedAvatar(avatar)
    several = requests(avatar, size_px)
    turns, cold_turns = itertools.cycle(several), itertools.cycle(several)
    code = avatar.subject_codes()[1].detach()
    camera = avatar.card.camera.resized(size_px, size_px)
    with torch.inference_mode():
        canonical = avatar.canonicalise(code)
        parameters = HeadParameters(
            torch.zeros(0), torch.zeros(0, 3), 0.3 * torch.ones(1, avatar.skeleton.n_expression),
            0.1 * torch.ones(1, len(avatar.skeleton.parents), 3),
        )  # fmt: skip
        motion = avatar.skeleton(parameters)
        posed = avatar.pose(canonical, motion)[0]

    def quietly(work: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            with torch.inference_mode():
                work()

        return run

    def uncached() -> None:
        store.renderer.forget()
        store.render(next(cold_turns))

    def request(number: int) -> Callable[[], None]:
        def run() -> None:
            torch.set_num_threads(number)
            store.render(next(turns))
            torch.set_num_threads(threads)

        return run

    return {
        **{f"a request, {on_threads(number)}": request(number) for number in {1: 0, threads: 0}},
        "without the cache": uncached,
        "canonicalise": quietly(lambda: avatar.canonicalise(code)),
        "skeleton": quietly(lambda: avatar.skeleton(parameters)),
        "pose": quietly(lambda: avatar.pose(canonical, motion)),
        "rasterize": quietly(lambda: rasterize(posed, camera, rasterizer=store.renderer.rasterizer)),
    }


def sustained(avatar: Avatar, size_px: int, seconds: float) -> float:
    """Frames a second of one client."""
    store, turns = LoadedAvatar(avatar), itertools.cycle(requests(avatar, size_px))
    store.render(next(turns))
    frames, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        store.render(next(turns))
        frames += 1
    return frames / (time.perf_counter() - start)


def frame_row(case: str, avatar: Avatar, size_px: int, threads: int, *, quick: bool) -> Row:
    """One avatar's line: milliseconds, and frames a second that are sustained on one thread and on several."""
    times = interleaved(contenders(avatar, size_px, threads), rounds=9 if quick else 41, seconds=1.0)
    others = {}
    for number in {1: 0, threads: 0}:
        torch.set_num_threads(number)
        others[f"frames/s, {on_threads(number)}"] = sustained(avatar, size_px, 1.0 if quick else 3.0)
    return Row("A served frame", case, times, others)


def measure(threads: int, folder: Path | None, *, quick: bool) -> list[Row]:
    """The table."""
    rows = []
    if folder is not None:
        avatar = load_avatar(folder).eval()
        case = f"{folder.name}: {avatar.n_gaussians:,} at 256²"
        rows.append(frame_row(case, avatar, 256, threads, quick=quick))
    cases: list[tuple[str, PartBasesConfig | NetworksConfig, int, int]]
    cases = [("part bases", PartBasesConfig(), 15_000, 256), ("networks", LAPTOP_NETWORKS, 15_000, 256)]
    if not quick:
        cases += [("part bases", PartBasesConfig(), 15_000, 512), ("part bases", PartBasesConfig(), 50_000, 512)]
    for name, decoder, points, size_px in cases:
        avatar = imaginary_avatar(decoder, points=points, subjects=10, size_px=size_px).eval()
        rows.append(frame_row(f"{name}: {points:,} at {size_px}²", avatar, size_px, threads, quick=quick))
    return rows


def main() -> None:
    options = parser(__doc__, quick="two cases, few rounds", threads="threads of torch and of our kernels, beside one")
    options.add_argument("--avatar", type=Path, help="folder of a trained avatar to serve as well")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = measure(arguments.threads, arguments.avatar, quick=arguments.quick)
    report(rows, arguments.json)


if __name__ == "__main__":
    main()
