"""Shape that several pictures of one person share, with an expression and a pose for each.

A nod and a longer chin look alike in one picture. Seen from several sides they do not, so a video tells the shape
better than a portrait does, and what is left for the rotation's prior (the landmarks' depths) to say is little.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from perse.head import HeadModel
from perse.tracking.fit import parameters_of, portrait_camera
from perse.tracking.landmark_problem import LandmarkProblem
from perse.tracking.lips_at_rest import close_lips, lips_closed
from perse.tracking.residual import fit_offsets


def fit_shared_shape(problems: Sequence[LandmarkProblem]) -> list[Float[Tensor, " p"]]:
    """Parameter vectors of all pictures, with equal betas.

    Gauss–Newton over everything: the normal equations of the pictures overlap in the betas' block alone.
    """
    vectors = [problem.solve_pose() for problem in problems]
    for _ in range(problems[0].config.joint_rounds):
        vectors = _joint_step(problems, vectors)
    return vectors


def _joint_step(problems: Sequence[LandmarkProblem], vectors: Sequence[Tensor]) -> list[Tensor]:
    shape = problems[0].layout.betas
    places = _places(problems)
    n = 1 + max(int(place.max()) for place in places)
    normal, right = np.zeros((n, n)), np.zeros(n)
    lower, upper = np.empty(n), np.empty(n)
    for place, problem, vector in zip(places, problems, vectors, strict=True):
        free = problem.free
        own_normal, own_right = problem.normal_equations(vector, free)
        normal[np.ix_(place[free], place[free])] += own_normal
        right[place[free]] += own_right
        lower[place[free]], upper[place[free]] = problem.lower[free], problem.upper[free]
    # Every picture brought the prior of the betas along; it holds once.
    shared = places[0][shape]
    normal[shared, shared] -= (len(problems) - 1) * problems[0].penalty[shape] ** 2
    solution = problems[0].solver(normal, right, lower, upper)
    following = [vector.clone() for vector in vectors]
    for place, problem, vector in zip(places, problems, following, strict=True):
        vector[torch.from_numpy(problem.free)] = torch.from_numpy(solution[place[problem.free]])
    return following


def _places(problems: Sequence[LandmarkProblem]) -> list[NDArray[np.intp]]:
    """Where each picture's entries stand among all unknowns, [size] each: the betas first; -1 what is not free."""
    shape = problems[0].layout.betas
    taken = shape.stop - shape.start
    places = []
    for problem in problems:
        place = np.full(problem.layout.size, -1, np.intp)
        place[shape] = np.arange(shape.stop - shape.start)
        own = problem.free.copy()
        own[shape] = False
        place[own] = taken + np.arange(own.sum())
        taken += int(own.sum())
        places.append(place)
    return places


def shared_offsets(
    model: HeadModel, problems: Sequence[LandmarkProblem], vectors: Sequence[Float[Tensor, " p"]], size_px: int
) -> Float[Tensor, "v 3"]:
    """Offsets [v, 3] that the shape basis cannot express, metres: the mean of the pictures' own residuals, lips
    closed."""
    precise = model.to("cpu", torch.float64)
    closed = lips_closed(precise)
    fields = []
    for problem, vector in zip(problems, vectors, strict=True):
        head = parameters_of(problem.layout, vector, closed)
        camera = portrait_camera(vector[problem.layout.translation], problem.landmarks.focal_px, size_px, size_px).to(
            "cpu", torch.float64
        )
        fields.append(fit_offsets(precise, head, camera, problem.target))
    return close_lips(precise, vectors[0][problems[0].layout.betas], torch.stack(fields).mean(0))


def rotation_spread(rotations: Float[NDArray[np.float64], "f 3"], count: int) -> list[int]:
    """Frames whose rotations [f, 3] differ most: the most frontal one, then always the farthest from those chosen."""
    chosen = [int(np.linalg.norm(rotations, axis=1).argmin())]
    distance = np.linalg.norm(rotations - rotations[chosen[0]], axis=1)
    while len(chosen) < min(count, len(rotations)):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(rotations - rotations[chosen[-1]], axis=1))
    return chosen
