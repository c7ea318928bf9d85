"""The user study: the page in a browser, by keyboard and by touch, and what its votes say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from perse.errors import InputError
from perse.report.study import Study, paired, study_page, tally, wilson


def pictures(folder: Path, level: int, names: tuple[str, ...] = ("one", "two", "three")) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.fromarray(np.full((24, 24, 3), level + number, np.uint8)).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def study(tmp_path: Path) -> Study:
    pairs = paired(pictures(tmp_path / "a", 10), pictures(tmp_path / "b", 200))
    return Study("Which </script> is better?", ("Real?", "Same?"), "ours", "theirs", pairs)


def votes(tmp_path: Path, voter: str, chosen: list[str], study: str = "s", question: str = "Real?") -> Path:
    content = {"format": "perse-votes", "study": study, "voter": voter, "votes": [
        {"question": question, "item": str(i), "chosen": side, "side": "left"} for i, side in enumerate(chosen)
    ]}  # fmt: skip
    file = tmp_path / f"votes-{voter}-{len(chosen)}.json"
    file.write_text(json.dumps(content))
    return file


def test_a_vote_is_for_the_picture_that_was_chosen_whatever_its_side(
    study: Study, tmp_path: Path, browser: Any
) -> None:
    """Always the darker picture, which is ours, now on the left and now on the right: every vote must be for us."""
    file = tmp_path / "study.html"
    file.write_bytes(study_page(study))
    context = browser.new_context(viewport={"width": 500, "height": 700}, has_touch=True)
    page = context.new_page()
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.goto(f"file://{file}")
    assert page.title() == "Which </script> is better?"
    dark = {f"data:image/png;base64,{_base64(a)}" for a, _ in study.pairs.values()}
    sides = []
    for number in range(6):
        side = "left" if page.get_attribute("#left-picture", "src") in dark else "right"
        sides.append(side)
        if number % 2:
            page.keyboard.press("ArrowLeft" if side == "left" else "ArrowRight")
        else:
            page.tap(f"#{side}")
    page.keyboard.press("Backspace")
    assert "6 of 6" in page.text_content("#question")
    page.click(f"#{sides[-1]}")
    assert page.is_visible("#end") and not page.is_visible("#pair")
    page.reload()
    assert page.is_visible("#end"), "a page that is opened again goes on where it was"
    with page.expect_download() as download:
        page.click("#save")
    saved = tmp_path / "saved.json"
    download.value.save_as(saved)
    context.close()
    assert not failures
    content = json.loads(saved.read_text())
    assert {(vote["question"], vote["item"]) for vote in content["votes"]} == {
        (q, i) for q in study.questions for i in study.pairs
    }
    names, shares = tally([saved])
    assert names[0] == "ours" and [share.of_a for share in shares] == [1.0, 1.0]


def _base64(file: Path) -> str:
    import base64

    return base64.b64encode(file.read_bytes()).decode()


def test_sides_and_order_differ_between_voters(study: Study, tmp_path: Path, browser: Any) -> None:
    file = tmp_path / "study.html"
    file.write_bytes(study_page(study))
    drawn = []
    for _ in range(6):
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"file://{file}")
        drawn.append(page.evaluate("JSON.stringify(state.trials)"))
        context.close()
    assert len(set(drawn)) > 3


def test_shares_are_of_voters_votes_and_a_second_file_of_a_voter_replaces_the_first(tmp_path: Path) -> None:
    files = [votes(tmp_path, "x", ["ours"]), votes(tmp_path, "x", ["ours", "theirs", "ours"]),
             votes(tmp_path, "y", ["ours", "ours", "theirs"])]  # fmt: skip
    (a, b), (share,) = tally(files)
    assert (a, b) == ("ours", "theirs")
    assert share.of_a == pytest.approx(4 / 6) and share.votes == 6 and share.voters == 2
    assert share.low < 4 / 6 < share.high


def test_wilsons_interval() -> None:
    """Against the textbook's numbers (Newcombe 1998, Table I: 81 of 263 and 15 of 148)."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # the textbook prints four digits
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)  # as above


HALF_A_SIGN = r"""{"format": "perse-votes", "study": "s", "voter": "v", "votes": [
    {"question": "\ud800", "item": "1", "chosen": "ours"}]}"""


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", '{"format": "perse-votes"}', '{"format": "perse-votes", "voter": 1}', "[" * 100_000, HALF_A_SIGN],
    ids=lambda content: content[:20],
)
def test_what_holds_no_votes(tmp_path: Path, content: str) -> None:
    (tmp_path / "v.json").write_text(content)
    with pytest.raises(InputError, match="holds no votes"):
        tally([tmp_path / "v.json"])


def test_votes_of_two_studies_are_not_mixed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="different studies"):
        tally([votes(tmp_path, "x", ["ours"]), votes(tmp_path, "y", ["ours"], study="t")])


def test_pictures_without_a_partner_and_folders_without_pictures(tmp_path: Path) -> None:
    a, b = pictures(tmp_path / "a", 0), pictures(tmp_path / "b", 0, ("one", "two"))
    with pytest.raises(InputError, match="'three' is in one"):
        paired(a, b)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="there is no picture"):
        paired(tmp_path / "empty", tmp_path / "empty")
    with pytest.raises(InputError, match="there is no folder"):
        paired(a, tmp_path / "none")


def test_a_study_of_other_pictures_has_another_key(study: Study, tmp_path: Path) -> None:
    again = Study(study.title, study.questions, study.a, study.b, study.pairs)
    assert again.key == study.key
    Image.fromarray(np.full((24, 24, 3), 99, np.uint8)).save(tmp_path / "a" / "one.png")
    assert again.key != Study(study.title, ("Real?",), study.a, study.b, study.pairs).key
    page = study_page(study).decode()
    assert page.count("</script>") == 2, "a title or a question cannot end the script"
