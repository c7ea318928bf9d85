"""Prompts: what may be asked, in which order, and how a user's own file is read."""

from __future__ import annotations

from itertools import islice, pairwise
from pathlib import Path

import pytest

from perse.attributes import CATEGORIES, Category
from perse.data import AttributePrompt
from perse.errors import PromptError
from perse.synthesis.prompts import (
    PAPER_COUNTS,
    PromptPlan,
    complete,
    plan_prompts,
    prompt_stream,
    read_prompts_csv,
    vocabulary,
)
from perse.synthesis.prompts.vocabulary import VOCABULARIES, as_attributes


def first(category: Category, number: int, seed: int = 0) -> list[AttributePrompt]:
    return list(islice(prompt_stream(category, seed), number))


def combinations(category: Category) -> set[tuple[tuple[str, str], ...]]:
    return {as_attributes(combination) for combination in VOCABULARIES[category].combinations()}


@pytest.mark.parametrize("category", CATEGORIES)
def test_stream_is_pure_and_ordered(category: Category) -> None:
    long, short = first(category, 30), first(category, 10)
    assert long[:10] == short
    assert [prompt.key for prompt in long] == [f"{category.value}-{i:04d}" for i in range(30)]
    assert len({prompt.seed for prompt in long}) == 30


@pytest.mark.parametrize("category", CATEGORIES)
def test_streams_of_other_seeds_differ(category: Category) -> None:
    assert [p.attributes for p in first(category, 12, 0)] != [p.attributes for p in first(category, 12, 1)]


@pytest.mark.parametrize("category", CATEGORIES)
def test_stream_names_every_combination_once_before_it_repeats_one(category: Category) -> None:
    known = combinations(category)
    prompts = first(category, len(known) + 5)
    assert {prompt.attributes for prompt in prompts[: len(known)]} == known
    again = prompts[len(known) :]
    assert all(prompt.attributes in known for prompt in again)
    # The second time round it is another picture (seed) and another sentence of the same thing.
    before = {prompt.attributes: prompt for prompt in prompts[: len(known)]}
    assert all(before[p.attributes].seed != p.seed and before[p.attributes].text != p.text for p in again)


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_first_four_prompts_differ_in_what_is_seen_first(category: Category, seed: int) -> None:
    lead = VOCABULARIES[category].slots[0]
    loud = [value for value in vocabulary(category)[lead] if value not in VOCABULARIES[category].quiet]
    values = [prompt.get(lead) for prompt in first(category, 4, seed)]
    assert len(set(values)) == min(4, len(loud))
    # Where the first slot has too few values, prompts with the same one differ in at least one other slot.
    assert all(a.attributes != b.attributes for a, b in pairwise(first(category, 4, seed)))


@pytest.mark.parametrize("category", CATEGORIES)
def test_sentences_tell_combinations_apart_and_name_their_values(category: Category) -> None:
    prompts = first(category, len(combinations(category)))
    assert len({prompt.text for prompt in prompts}) == len(prompts)
    for prompt in prompts:
        color = prompt.get("color")
        assert color in ("", "natural") or color in prompt.text
        assert "{" not in prompt.text and "  " not in prompt.text
        assert " a a" not in prompt.text and " a e" not in prompt.text


def test_combinations_do_not_contradict_themselves() -> None:
    for category in CATEGORIES:
        for attributes in combinations(category):
            slots = dict(attributes)
            assert slots.get("style") != "bald" or set(slots) == {"style"}
            assert slots.get("kind") != "hoop" or "stone" not in slots
            assert slots.get("shape") != "stubble" or "length" not in slots
            assert "accent" not in slots or slots["accent"] != slots["color"]
            assert "band" not in slots or slots["band"] != slots["color"]


def test_paper_plan_has_table_4s_957_prompts() -> None:
    plan = plan_prompts(PromptPlan(PAPER_COUNTS))
    assert len(plan) == 957
    assert len({(prompt.category, prompt.attributes) for prompt in plan}) == 957
    assert sum(prompt.category is Category.HAIR for prompt in plan) == 395


def test_plan_refuses_a_category_named_twice() -> None:
    with pytest.raises(ValueError, match="once"):
        PromptPlan(((Category.HAT, 1), (Category.HAT, 2)))


def test_complete_fills_in_what_was_not_said() -> None:
    hat = complete(Category.HAT, {"kind": "top hat", "color": "red"})
    assert hat["kind"] == "top hat" and hat["color"] == "red" and hat["band"] != "red"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"shade": "red"}, "slot 'shade'.*kind, color"),
        ({"kind": "turban"}, "'turban'.*beanie"),
        ({"kind": "beanie", "band": "red"}, "do not go together"),
    ],
)
def test_complete_says_what_is_allowed(given: dict[str, str], told: str) -> None:
    with pytest.raises(PromptError, match=told):
        complete(Category.HAT, given)


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "prompts.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_csv_rows_become_prompts(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "category,kind,color,text,seed\n"
        "hat,beanie,red,,7\n"
        "\n"
        'HAT,Top Hat,black,"My own words, with a comma",\n'
        "nose,,,a nose like a potato,\n",
    )
    beanie, top_hat, nose = read_prompts_csv(path)
    assert beanie.category is Category.HAT and beanie.get("color") == "red" and beanie.seed == 7
    assert "red beanie" in beanie.text
    assert top_hat.get("kind") == "top hat" and top_hat.text == "My own words, with a comma"
    assert nose.attributes == () and nose.text == "a nose like a potato"
    assert len({beanie.key, top_hat.key, nose.key}) == 3
    assert read_prompts_csv(path) == [beanie, top_hat, nose]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty"),
        ("color\nred\n", "line 1.*'category'"),
        ("category,hue\nhat,red\n", "line 1.*'hue'.*color"),
        ("category,color,color\nhat,red,red\n", "'color' appears 2 times"),
        ("category,color\n", "no prompts"),
        ("category,color\nhat,red\nwig,red\n", "line 3, column 'category'.*'wig'.*headphones"),
        ("category,color\nhat,mauve\n", "line 2, column 'color'.*'mauve'.*teal"),
        ("category,fullness\nhat,full\n", "line 2, column 'fullness'.*kind"),
        ("category,kind,stone\nearrings,hoop,pearl\n", "line 2.*do not go together"),
        ("category,color\nhat,red,blue\n", "line 2.*3 cells for 2 columns"),
        ("category,color\nhat,\n", "line 2.*neither"),
        ("category,color,seed\nhat,red,-1\n", "line 2, column 'seed'.*'-1'"),
        ('category,color\nhat,"red\n', "not a valid CSV"),
        (b"category,color\nhat,\xff\xfe\n", "UTF-8"),
    ],
)
def test_csv_errors_name_file_line_and_column(tmp_path: Path, text: str | bytes, told: str) -> None:
    with pytest.raises(PromptError, match=told) as caught:
        read_prompts_csv(written(tmp_path, text))
    assert "prompts.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_csv_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match=r"cannot read.*missing\.csv"):
        read_prompts_csv(tmp_path / "missing.csv")
    with pytest.raises(PromptError, match="cannot read"):
        read_prompts_csv(tmp_path)
