"""How long a served frame takes: a new pose each time, canonical Gaussians cached by latent.

    python -m benchmarks.serve_frame [--threads 2] [--quick] [--json FILE]

15,000 Gaussians (part bases), 256². The whole path of a request inside the server: names to parameters, the cached
canonical Gaussians, skeleton and pose, rasterization, eight-bit picture. Not HTTP and not PNG.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.imaginary import LAPTOP_NETWORKS, imaginary_avatar
from benchmarks.timing import Row, interleaved, print_tables, write_json
from perse.avatar import Avatar, PartBasesConfig
from perse.head import HeadParameters
from perse.render import rasterize
from perse_ray.serving.loaded_avatar import LoadedAvatar
from perse_ray.serving.requests import RenderRequest

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


def contenders(avatar: Avatar, size_px: int) -> dict[str, Callable[[], object]]:
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
        store._canonical.clear()
        store.render(next(cold_turns))

    return {
        "a request": lambda: store.render(next(turns)),
        "without the cache": uncached,
        "canonicalise": quietly(lambda: avatar.canonicalise(code)),
        "skeleton": quietly(lambda: avatar.skeleton(parameters)),
        "pose": quietly(lambda: avatar.pose(canonical, motion)),
        "rasterize": quietly(lambda: rasterize(posed, camera, rasterizer=store.rasterizer)),
    }


def sustained(avatar: Avatar, size_px: int, seconds: float) -> float:
    """Frames a second of one client that asks for the next frame when it has the last."""
    store, turns = LoadedAvatar(avatar), itertools.cycle(requests(avatar, size_px))
    store.render(next(turns))
    frames, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        store.render(next(turns))
        frames += 1
    return frames / (time.perf_counter() - start)


def measure(*, quick: bool) -> tuple[list[Row], float]:
    """The table and the sustained rate."""
    rounds = 9 if quick else 31
    cases = [("part bases: 15,000 at 256²", PartBasesConfig(), 15_000, 256)]
    if not quick:
        cases += [
            ("part bases: 15,000 at 512²", PartBasesConfig(), 15_000, 512),
            ("part bases: 50,000 at 512²", PartBasesConfig(), 50_000, 512),
            ("networks: 15,000 at 256²", LAPTOP_NETWORKS, 15_000, 256),
        ]
    rows, rate = [], 0.0
    for case, decoder, points, size_px in cases:
        avatar = imaginary_avatar(decoder, points=points, subjects=10, size_px=size_px).eval()
        rows.append(Row("A served frame", case, interleaved(contenders(avatar, size_px), rounds=rounds)))
        rate = rate or sustained(avatar, size_px, 2.0 if quick else 5.0)
    return rows, rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=2, help="threads of torch and of our kernels")
    parser.add_argument("--quick", action="store_true", help="one case, few rounds")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows, rate = measure(quick=arguments.quick)
    print_tables(rows)
    print(f"\nSustained: {rate:.0f} frames a second ({rows[0].case})")
    if arguments.json:
        write_json([*rows, Row("Sustained", rows[0].case, {"ms a frame": 1000 / rate})], arguments.json)


if __name__ == "__main__":
    main()
