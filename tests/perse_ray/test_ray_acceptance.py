"""How many edits came off, category by category, and why the others did not."""

from __future__ import annotations

from perse.attributes import Category
from perse.data import AttributePrompt
from perse.data.tables import QuarantinedRow
from perse_ray.synthesis.acceptance import acceptance, summarise
from perse_ray.synthesis.synthesize import FilmedEdit, Rejection, Synthesis


def prompt(category: Category, number: int) -> AttributePrompt:
    return AttributePrompt(f"{category.value}-{number:04d}", category, (), "a sentence", number)


def quarantined(name: str, error: str) -> QuarantinedRow:
    return QuarantinedRow(key=name, name=name, stage="edit", error=error, traceback="", attempts=1)


def test_every_prompt_is_counted_once_and_reasons_without_their_numbers() -> None:
    hat, nose = Category.HAT, Category.NOSE
    found = Synthesis(
        reference="r",
        subjects=(FilmedEdit(prompt(hat, 0), "e", "c"), FilmedEdit(prompt(nose, 0), "e", "c")),
        rejected=(
            Rejection(prompt(hat, 1), "e", ("another person: descriptor distance 0.71, limit 0.6", "too small")),
            Rejection(prompt(hat, 2), "e", ("another person: descriptor distance 0.65, limit 0.6",)),
        ),
        quarantined=(quarantined("hat-0003", "a black picture"), quarantined("reference", "no")),
        shortfall=((hat, 1),),
    )
    rates = acceptance(found)
    assert list(rates) == ["hat", "nose"]
    assert (rates["hat"]["accepted"], rates["hat"]["rejected"], rates["hat"]["quarantined"]) == (1, 2, 1)
    assert rates["hat"]["reasons"] == {
        "another person: descriptor distance …, limit …": 2,
        "too small": 1,
        "edit: a black picture": 1,
    }
    assert rates["nose"]["reasons"] == {}
    line = summarise(rates)
    assert line.startswith("2 edits rejected, 1 in quarantine: 2 × another person") and "black" in line


def test_the_line_stays_readable_and_words_with_digits_are_words() -> None:
    errors = ["use bfloat16 or float32", "x" * 500, "a", "a", "b 3", "b 4", "c"]
    rows = tuple(quarantined(f"hat-{i:04d}", error) for i, error in enumerate(errors))
    rates = acceptance(Synthesis("r", (), (), rows, ()))
    assert rates["hat"]["reasons"]["edit: use bfloat16 or float32"] == 1 and rates["hat"]["reasons"]["edit: b …"] == 2
    line = summarise(rates)
    assert line.startswith("0 edits rejected, 7 in quarantine: 2 × edit: a; 2 × edit: b …; 1 × ")
    assert line.endswith("; 2 more reasons in report/metrics.json") and len(line) < 300


def test_a_run_without_losses_needs_no_summary() -> None:
    found = Synthesis("r", (FilmedEdit(prompt(Category.HAT, 0), "e", "c"),), (), (), ())
    assert summarise(acceptance(found)) == ""
