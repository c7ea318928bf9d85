"""What a researcher types: names, looks, pictures, sequences, files; and what mistakes are told."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import perse
from perse.errors import InputError, MissingWeightsError, UnknownName
from perse.export import read_splats
from perse.library.naming import expressions_of
from perse.viewing.sentences import category_of

SIZE = 48


def test_importing_perse_takes_no_time_and_lists_the_library() -> None:
    code = (
        "import perse, sys; assert 'numpy' not in sys.modules and 'torch' not in sys.modules; "
        "assert {'load', 'build', 'described', 'Look', 'Picture'} <= set(dir(perse))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_attributes_have_short_names_that_looks_understand(avatar: perse.HeadAvatar) -> None:
    assert avatar.attributes["hat"] == {
        "teal beanie": "A person wearing a teal beanie",
        "navy top hat with a white band": "A person wearing a navy top hat with a white band",
    }
    for category, row in avatar.attributes.items():
        for name in row:
            resolved = avatar.renderer.resolve(avatar.look(**{category: name}))  # type: ignore[arg-type]
            assert [edit.text for edit in resolved.edits] == [row[name]]


def test_weights_mix_and_a_sentence_finds_its_category(avatar: perse.HeadAvatar) -> None:
    look = avatar.look(hat={"teal beanie": 0.25, "top hat": 0.75}, text="curly red hair")
    edits = avatar.renderer.resolve(look).edits
    assert [(edit.category, edit.weight) for edit in edits] == [("hat", 0.25), ("hat", 0.75), ("hair", 1.0)]
    whole = avatar.renderer.resolve(avatar.look(hair="curly red hair")).code
    told = avatar.renderer.resolve(avatar.look(text="A person with curly red hair")).code
    # Float32: features of words go through the encoder twice.
    assert np.allclose(whole, told, atol=1e-4), "words of a learned prompt are that edit"
    for sentence, category in {"a red cap over grey hair": "hat", "silver hoop earrings": "earrings"}.items():
        assert category_of(sentence) == category


def test_a_picture_is_an_array_that_displays_and_saves_itself(avatar: perse.HeadAvatar, tmp_path: Path) -> None:
    picture = avatar.render(avatar.look(hat="teal beanie"), yaw=20, expression={"smile": 0.8}, size=SIZE)
    assert picture.shape == (SIZE, SIZE, 4) and picture.dtype == np.uint8
    assert picture[0, 0, 3] < 50 < picture[..., 3].max(), "the background is transparent"
    shown = picture._repr_png_()
    assert shown is not None and (np.asarray(Image.open(io.BytesIO(shown))) == picture).all()
    assert b"navy" not in shown and b"teal beanie" in picture.save(tmp_path / "me.png").read_bytes()
    assert Image.open(picture.save(tmp_path / "me.jpg")).mode == "RGB"
    assert (picture.astype(float).mean(-1))._repr_png_() is None, "what is computed from it is numbers"


def test_looks_expressions_and_cameras_change_the_picture(avatar: perse.HeadAvatar) -> None:
    def drawn(**fields: object) -> np.ndarray:
        return np.asarray(avatar.render(size=SIZE, background=(255, 255, 255), **fields)).astype(int)  # type: ignore[arg-type]

    plain = drawn()
    assert plain.shape == (SIZE, SIZE, 3) and (drawn(look=perse.Look()) == plain).all()
    for fields in ({"look": avatar.look(hat="beanie")}, {"yaw": 30}, {"pose": {"jaw": (15, 0, 0)}}, {"zoom": 1.3}):
        assert np.abs(drawn(**fields) - plain).max() > 10, fields
    turned = avatar.look(pose={"neck": (0, 20, 0)})
    assert (drawn(look=turned) == drawn(pose={"neck": (0, 20, 0)})).all()


def test_an_interpolation_is_lazy_and_has_its_ends(avatar: perse.HeadAvatar, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    draw = avatar.renderer.draw
    monkeypatch.setattr(avatar.renderer, "draw", lambda *asked: drawn.append(1) or draw(*asked))
    frames = avatar.interpolate("teal beanie", "navy top hat", steps=5, size=SIZE)
    assert len(frames) == 5 and drawn == []
    first, last = frames[0], frames[-1]
    assert len(drawn) == 2
    assert (first == avatar.render(avatar.look(hat="teal beanie"), size=SIZE)).all()
    assert (last == avatar.render(avatar.look(hat="navy top hat"), size=SIZE)).all()
    assert len(frames[1:4]) == 3 and (frames[1:4][1] == frames[2]).all()
    fading = avatar.interpolate(None, "long white", steps=2, size=SIZE)
    assert (fading[0] == avatar.render(size=SIZE)).all()


def test_sequences_become_strips_and_videos(avatar: perse.HeadAvatar, tmp_path: Path) -> None:
    frames = avatar.animate(stride=40, size=SIZE)
    assert len(frames) == 3 and frames.strip().shape == (SIZE, 3 * SIZE, 4)
    assert frames.fps == pytest.approx(25 / 40)
    assert not (frames[0] == frames[2]).all()
    with Image.open(frames.save(tmp_path / "a.webp")) as animated:
        assert animated.n_frames == 3
    assert frames.save(tmp_path / "a.mp4").stat().st_size > 1000
    with pytest.raises(InputError, match=r"\.mp4"):
        frames.save(tmp_path / "a.gif")


def test_an_export_has_the_look(avatar: perse.HeadAvatar, tmp_path: Path) -> None:
    look = avatar.look(beard={"long white": 0.6})
    (written,) = avatar.export(look, tmp_path / "me.ply")
    everything = avatar.renderer.frozen(avatar.renderer.resolve(look)).n_gaussians
    assert 100 < len(read_splats(written).means) < everything  # what nobody sees is left out
    assert b"long white full beard" in written.read_bytes()


@pytest.mark.parametrize(
    ("mistake", "says"),
    [
        (lambda a: a.look(hat="zebra"), "there is no hat 'zebra'; choose among"),
        (lambda a: a.look(cape="red"), "'cape' is no category; there are beard"),
        (lambda a: a.look(text="nice weather"), "names none of beard"),
        (lambda a: a.look(nose="long"), "learned no nose at all"),
        (lambda a: a.render(expression={"sneeze": 1}), "unknown expression 'sneeze'; known are browDown"),
        (lambda a: a.render(pose={"tail": (0, 0, 1)}), "unknown joint tail"),
        (lambda a: a.render(pose={"neck": (0, 1)}), "three finite numbers"),
        (lambda a: a.render(size=5), "between 16 and"),
        (lambda a: a.interpolate("person", "beanie"), "5 edits answer to 'person'"),
        (lambda a: a.interpolate("beanie", None, steps=1), "two steps at least"),
        (lambda a: a.export(None, "me.obj"), "no export format"),
        (lambda a: a.animate("nowhere.json"), "nowhere.json"),
        (lambda a: perse.load("nowhere"), "holds no finished avatar"),
    ],
)
def test_mistakes_are_told_at_once(
    avatar: perse.HeadAvatar, mistake: Callable[[perse.HeadAvatar], object], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        mistake(avatar)


def test_one_name_means_both_sides_of_an_expression_and_never_opposites() -> None:
    known = ("mouthSmileLeft", "mouthSmileRight", "jawLeft", "jawRight", "cheekPuff")
    both = {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8}
    assert expressions_of(known, {"smile": 0.8}) == expressions_of(known, {"mouthSmile": 0.8}) == both
    assert expressions_of(known, {"puff": 1}) == {"cheekPuff": 1.0}
    assert expressions_of(known, {"jawLeft": 0.5}) == {"jawLeft": 0.5}
    with pytest.raises(UnknownName, match="jaw"):
        expressions_of(known, {"jaw": 1.0})


def test_building_needs_the_orchestration_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "perse_ray.orchestrator", None)  # as if it were not installed
    with pytest.raises(MissingWeightsError, match=r"pip install 'perse\[ray\]'"):
        perse.build(None, tmp_path / "w", recipe="tiny")


def test_a_build_asks_the_orchestrator_once_and_opens_what_it_made(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from perse_ray import orchestrator

    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(orchestrator, "run_build", lambda request: asked.append((request.recipe.name, "built")))
    workspace = runs / "runs" / "me"
    monkeypatch.setattr("perse_ray.orchestrator.Workspace.open", lambda place: place)
    avatar = perse.build(np.zeros((32, 32, 3), np.uint8), workspace, recipe="tiny")
    assert asked == [("tiny", "built")] and "2 hat" in repr(avatar)
