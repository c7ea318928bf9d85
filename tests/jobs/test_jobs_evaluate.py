"""`perse evaluate`: refusals in one line, and a held-out set that no training has seen."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from perse.attributes import Category
from perse.synthesis.prompts import prompt_stream
from perse_ray.build.held_out import HeldOutSupply
from perse_ray.commands.evaluate import run
from perse_ray.synthesis.prompt_supply import StreamSupply
from perse_ray.synthesis.synthesize import MAX_REPLACEMENTS


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--protocol", "table9"], "there is no protocol 'table9'; choose one of table1, table2, table3"),
        (["--protocol", "table1"], "none"),
        (["--protocol", "table1", "--frames", "0"], "--frames, --pairs and --poses must be 1 or more"),
        (["--protocol", "table1", "--held-out", "-1"], "--held-out 0 or more"),
        (["--protocol", "table1", "--require", "LPIPS, ID"], "LPIPS cannot be measured: weights vgg16"),
        (["--protocol", "table2", "--require", "KID"], "KID cannot be measured: weights inception"),
        (["--protocol", "table1", "--require", "VMAF"], "there is no metric 'VMAF'; there are LPIPS, ID"),
    ],
)
def test_refusals(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERSE_WEIGHTS", str(tmp_path / "weights"))
    assert run(["--workspace", str(tmp_path / "none"), *words]) == 2
    written = capsys.readouterr().err
    assert said in written
    assert written.count("\n") == 1
    assert not (tmp_path / "none").exists()


def test_held_out_prompts_are_none_that_a_training_can_have_used() -> None:
    counts = ((Category.HAT, 4), (Category.BEARD, 0))
    trained = StreamSupply(counts=counts, seed=3)
    possible = {p.text for p in trained.plan()}
    possible |= {p.text for p in islice(trained.reserves(Category.HAT), 4 * MAX_REPLACEMENTS)}
    held_out = HeldOutSupply(trained=counts, count=2, seed=3)
    plan = held_out.plan()
    assert [p.category for p in plan] == [Category.HAT] * 2
    reserves = list(islice(held_out.reserves(Category.HAT), 5))
    assert not possible & {p.text for p in (*plan, *reserves)}
    assert len({p.key for p in (*plan, *reserves)}) == 7
    assert plan[0] == next(islice(prompt_stream(Category.HAT, 3), 16, None))
