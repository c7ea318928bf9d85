"""The command that trains the part network: mistakes, and a small run."""

from __future__ import annotations

from pathlib import Path

import pytest
import tyro

from perse.data.workspace import Workspace
from perse.errors import InputError
from perse.head.sources import EmbeddedHead
from perse.tracking.learned.weights import load_network, read_recipe
from perse.training.parsing.sources import PortraitSources
from perse.training.parsing.variations import VariationConfig
from perse_ray.commands import train_parser
from perse_ray.rows import in_process
from perse_ray.training.parser_examples import DrawExample, draw_examples


def run(*words: str) -> None:
    train_parser.main(tyro.cli(train_parser.Arguments, args=list(words)))


def test_a_training_that_cannot_work_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="--examples must be at least 1"):
        run("--examples", "0")
    with pytest.raises(InputError, match="--folder and --labels belong together"):
        run("--folder", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_examples_that_were_drawn_are_not_drawn_again(tmp_path: Path) -> None:
    work = DrawExample(
        workspace=Workspace.open(tmp_path / "w"),
        head=EmbeddedHead(),
        sources=PortraitSources(),
        variation=VariationConfig(),
    )
    first = list(draw_examples(work, 2, 1, execute=in_process.run, show=print))
    assert [example.source for example in first] == ["astronaut", "hopper"]

    def refused(*_: object) -> None:
        raise AssertionError("an example was drawn again")

    again = list(draw_examples(work, 2, 1, execute=refused))  # type: ignore[arg-type]
    assert [(example.kinds == other.kinds).all() for example, other in zip(first, again, strict=True)] == [True, True]


@pytest.mark.heavy
def test_a_small_training_on_ray_ends_in_weights_with_their_recipe(tmp_path: Path, ray_session: None) -> None:
    run("--workspace", str(tmp_path / "w"), "--examples", "4", "--steps", "3", "--leave-out", "hopper")
    weights = tmp_path / "w" / "part_network.safetensors"
    assert read_recipe(weights)["sources"] == "astronaut" and read_recipe(weights)["examples"] == "2"
    load_network(weights)
    with pytest.raises(InputError, match="nothing is left"):
        run("--workspace", str(tmp_path / "w"), "--examples", "2", "--leave-out", "hopper", "astronaut")
