"""Training of the part network: examples on Ray Data, then a few minutes of one core."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from perse.data.workspace import Workspace
from perse.errors import InputError
from perse.head.sources import EmbeddedHead
from perse.tracking.learned.weights import weights_bytes
from perse.training.parsing.fit import PartTrainingConfig, train_parts
from perse.training.parsing.sources import PortraitSources
from perse.training.parsing.variations import VariationConfig
from perse_ray.rows import on_ray_data
from perse_ray.runtime.session import LocalRay, ray_session
from perse_ray.training.parser_examples import DrawExample, draw_examples

WEIGHTS = "part_network.safetensors"


@dataclass(frozen=True, kw_only=True)
class ParserRequest:
    """Request for one training."""

    workspace: Workspace
    """Where everything goes."""
    sources: PortraitSources
    """Portraits whose parts are known."""
    examples: int
    """How many are drawn."""
    left_out: tuple[str, ...] = ()
    """Names of portraits whose examples are not trained on, to measure on them."""
    training: PartTrainingConfig = field(default_factory=PartTrainingConfig)
    """How the network is trained."""
    variation: VariationConfig = field(default_factory=VariationConfig)
    """How portraits are varied."""
    workers: int = 2
    """Processes that draw."""
    local: LocalRay = field(default_factory=LocalRay)
    """The private Ray, where no cluster is joined."""
    show: Callable[[str], None] | None = None
    """Where progress lines go; None draws live bars on a terminal."""


@dataclass(frozen=True)
class ParserResult:
    """Result of a training.

    Attributes:
        weights: name in the workspace; examples: trained on; loss: of the last batch; seconds: of this run.
    """

    weights: str
    examples: int
    loss: float
    seconds: float


def train_parser(request: ParserRequest) -> ParserResult:
    """Draw what is missing, train, save the weights with their recipe.

    Raises:
        InputError: nothing is left to train on.
        PerseError: something the user can act on; examples that were drawn stay.
    """
    begin = time.perf_counter()
    work = DrawExample(
        workspace=request.workspace, head=EmbeddedHead(), sources=request.sources, variation=request.variation
    )
    with ray_session(request.local):
        drawn = list(draw_examples(work, request.examples, request.workers, execute=on_ray_data.run, show=request.show))
    examples = [example for example in drawn if example.source not in request.left_out]
    if not examples:
        raise InputError("all portraits are left out; nothing is left to train on")
    losses = [0.0]

    def report(step: int, loss: float) -> None:
        losses.append(loss)
        if request.show is not None:
            request.show(f"step {step} of {request.training.steps}, loss {loss:.3f}")

    network = train_parts(examples, request.training, report)
    recipe = {
        "command": "perse train-parser",
        "examples": str(len(examples)),
        "sources": ", ".join(sorted({example.source for example in examples})),
        "training": repr(request.training),
        "variation": repr(request.variation),
    }
    request.workspace.write(WEIGHTS, weights_bytes(network, recipe))
    return ParserResult(WEIGHTS, len(examples), losses[-1], time.perf_counter() - begin)
