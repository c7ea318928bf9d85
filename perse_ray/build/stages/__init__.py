"""The stages of a build, one a file. `perse_ray.build.build` has their order."""

from perse_ray.build.stages.adapt import Adapt
from perse_ray.build.stages.capture import CaptureVideo
from perse_ray.build.stages.encode import Encode
from perse_ray.build.stages.evaluate import Evaluate
from perse_ray.build.stages.export import Export
from perse_ray.build.stages.finetune import FineTune
from perse_ray.build.stages.register import Register
from perse_ray.build.stages.report import DrawReport
from perse_ray.build.stages.set_up import SetUp
from perse_ray.build.stages.synthesize import Synthesize
from perse_ray.build.stages.track import Track
from perse_ray.build.stages.train import Train

__all__ = [
    "Adapt",
    "CaptureVideo",
    "DrawReport",
    "Encode",
    "Evaluate",
    "Export",
    "FineTune",
    "Register",
    "SetUp",
    "Synthesize",
    "Track",
    "Train",
]
