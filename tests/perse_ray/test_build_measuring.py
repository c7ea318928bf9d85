"""Numbers of an evaluation, read back from where its rows left them."""

from __future__ import annotations

import math
from pathlib import Path

from perse.data.workspace import Workspace
from perse.evaluation import EvaluationPieces
from perse_ray.build.measuring import FACE, POSES, SWEEP, collect, measurement_file, measuring_rows
from perse_ray.build.values import without_nan
from perse_ray.rows.stage import KEY, NAME


def test_a_distance_that_is_no_number_is_read_back_as_it_was(tmp_path: Path) -> None:
    """It lies in the file as null, and a build whose morphs a pose could not be compared with ended in a traceback."""
    workspace = Workspace(str(tmp_path))
    rows = measuring_rows("digest", EvaluationPieces(subjects=(), mixes=(), pairs=((1, 2),)))
    scores = {"totals": [1.0, 1.5], "deviations": [0.1, math.nan], "from_morphs": [math.nan, math.nan]}
    poses = {"metric": "degrees", "of_frame": [1.0], "mean": 1.0, "largest": 1.0}
    found = {"pair 1 2": scores, POSES: poses, FACE: {}, SWEEP: {}}
    for row in rows:
        workspace.write_json(measurement_file(str(row[KEY])), without_nan(found[str(row[NAME])]))
    (pair,) = collect(workspace, rows).measured.pairs
    assert pair.totals == (1.0, 1.5) and pair.deviations[0] == 0.1
    assert math.isnan(pair.deviations[1]) and all(map(math.isnan, pair.from_morphs))
