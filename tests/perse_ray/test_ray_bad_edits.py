"""Every way in which an edit goes wrong ends in quarantine with its reason; the count is met, the summary tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from bad_edits import MISHAPS, bad_recipe
from batch_fakes import run_in_batches
from ray_fakes import FakeAnimator, FakeFilming

from perse.attributes import Category
from perse.data import AttributePrompt, TrackedPortrait, archive
from perse.data.workspace import Workspace
from perse.report.synthesis_sections import edits_section
from perse.synthesis.prompts import prompt_stream
from perse_ray.build.components import synthesis_config_of
from perse_ray.synthesis.acceptance import acceptance, summarise
from perse_ray.synthesis.synthesize import synthesize

WORDS = ("fine", *MISHAPS)


@dataclass(frozen=True)
class BadSupply:
    """One hat for each mishap and one without; two beards, of which the first is free text. Reserves are good."""

    def plan(self) -> list[AttributePrompt]:
        return [*islice(self._hats(), len(WORDS)), *islice(self._beards(), 2)]

    def reserves(self, category: Category) -> Iterator[AttributePrompt]:
        stream, begin = (self._hats(), len(WORDS)) if category is Category.HAT else (self._beards(), 2)
        return islice(stream, begin, begin + 20)

    def _hats(self) -> Iterator[AttributePrompt]:
        for number, prompt in enumerate(prompt_stream(Category.HAT, 0)):
            yield replace(prompt, text=f"a hat that is {WORDS[number] if number < len(WORDS) else 'fine'}")

    def _beards(self) -> Iterator[AttributePrompt]:
        for number, prompt in enumerate(prompt_stream(Category.BEARD, 0)):
            yield replace(prompt, attributes=(), text="a wise beard") if number == 0 else prompt


def test_each_mishap_is_quarantined_with_its_reason_and_replaced(
    tracked_astronaut: TrackedPortrait, tmp_path: Path
) -> None:
    workspace = Workspace.open(tmp_path / "w")
    archive.save_portrait(workspace, tracked_astronaut)
    studio = replace(
        synthesis_config_of(bad_recipe()), animator=FakeAnimator(str(tmp_path / "j")), filming=FakeFilming()
    )
    found = synthesize(workspace, studio, BadSupply(), execute=run_in_batches, show=lambda _: None)

    reasons = {row.name: row.error for row in found.quarantined}
    hats = list(islice(prompt_stream(Category.HAT, 0), len(WORDS)))
    for prompt, word in zip(hats[1:], MISHAPS, strict=True):
        assert MISHAPS[word] in reasons.pop(prompt.key)
    (beard,) = reasons.values()
    assert "does not read free text; beard knows" in beard and "stubble" in beard, "it lists what it knows"
    assert all(row.stage == "edit" and "\n" not in row.error for row in found.quarantined)

    assert found.shortfall == ()
    counts = [subject.prompt.category for subject in found.subjects]
    assert counts.count(Category.HAT) == len(WORDS) and counts.count(Category.BEARD) == 2
    assert hats[0].key in {subject.prompt.key for subject in found.subjects}, "its batch did not take it along"
    edits = [archive.load_edit(workspace, subject.edit) for subject in found.subjects]
    backends = {edited.prompt.category: dict(edited.provenance)["backend"] for edited in edits}
    assert backends == {Category.HAT: "diffusion, Painter", Category.BEARD: "procedural"}

    rates = acceptance(found)
    assert (rates["hat"]["accepted"], rates["hat"]["quarantined"]) == (len(WORDS), len(MISHAPS))
    assert summarise(rates).startswith(f"0 edits rejected, {len(MISHAPS) + 1} in quarantine: 1 × ")
    assert f"hat {len(WORDS)} of {len(WORDS) + len(MISHAPS)}" in edits_section(edits, rates).caption
