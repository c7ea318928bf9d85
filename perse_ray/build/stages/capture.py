"""Stage of the person's own video, which becomes a clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from perse.data import archive
from perse.data.keys import content_key
from perse.tracking.capture import Capture
from perse_ray.build.manifests import Result
from perse_ray.build.recorded import RecordedPerson
from perse_ray.build.run import BuildRun
from perse_ray.rows.fingerprint import fingerprint
from perse_ray.runtime.progress import progress_of_steps


class CaptureVideo:
    """Stage from video and tracked portrait to a clip in clips/: frames on white, parts, head parameters (P Table
    6)."""

    name = "capture"
    after = ("track",)

    def __init__(self, person: RecordedPerson) -> None:
        self._person = person

    def ingredients(self, run: BuildRun) -> Sequence[object]:
        person, recipe = self._person, run.recipe
        makers = (person.config, recipe.head)
        return person.digest, person.number, recipe.filming, makers, fingerprint(*makers)

    def work(self, run: BuildRun) -> Mapping[str, Any]:
        person, filming, portrait = self._person, run.recipe.filming, run.portrait
        capture = Capture(person.config, run.head)
        with progress_of_steps(run.request.show) as started:
            tracked = capture.track(person.face, person.video.fps, portrait, started)
            numbers = filming.train_frames, filming.test_frames
            clip = capture.clip(person.video, tracked, portrait, numbers, filming.size_px, started)
        key = content_key("captured", run.manifests.digests[self.name], portrait.key)
        archive.save_clip(run.request.workspace, key, clip)
        trained = int(np.isin(clip.frame_numbers, filming.train_frames).sum())
        found = {
            "video_frames": len(tracked.seen),
            "seen": int(tracked.seen.sum()),
            "trained": trained,
            "unseen": len(clip) - trained,
            "fit_rms_px": float(np.nanmean(tracked.rms_px)),
        }
        with run.log.stage(self.name) as stage:
            stage.metrics({name: float(value) for name, value in found.items()})
        return {"clip": key, **found}

    def products(self, run: BuildRun, result: Result) -> Sequence[str]:
        return (f"clips/{result['clip']}.parquet",)
