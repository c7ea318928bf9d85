"""The plan of a recipe, and the refusal of one that cannot run here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from perse.attributes import Category
from perse.errors import MissingWeightsError, RecipeError
from perse.recipes import recipe_named
from perse.recipes.champ import champ_paper
from perse.recipes.paper_animators import paper_animators
from perse.synthesis.procedural.editing import ProceduralEditorConfig
from perse.synthesis.production import DiffusionEditorConfig, EditorByCategoryConfig
from perse.synthesis.production.model_store import require
from perse.synthesis.production.segmenter import TransformersSegmenterConfig
from perse_ray.build.plan import (
    PlannedVideo,
    Rates,
    capture_stages,
    decoded_gib,
    describe_plan,
    planned_stages,
    synthesis_s,
    without_edits,
)
from perse_ray.build.room import equal_nodes
from perse_ray.commands.command_line import EXIT_EXPECTED, run_command


@pytest.fixture(autouse=True)
def empty_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSE_WEIGHTS", str(tmp_path / "weights"))


def test_the_papers_numbers() -> None:
    paper = recipe_named("paper")
    assert sum(count for _, count in paper.prompts.counts) == 957
    assert len(paper.filming.train_frames) == 400 and len(paper.filming.test_frames) == 113
    assert paper.filming.size_px == 512
    decoder = paper.avatar.decoder
    assert (decoder.color_depth, decoder.color_width, decoder.deform_depth, decoder.deform_width) == (9, 512, 4, 128)
    losses = paper.training.losses
    assert (losses.picture.l1, losses.picture.ssim, losses.perceptual, losses.latent) == (1.0, 0.25, 0.1, 0.1)
    assert paper.training.rates.networks == 1e-4 and paper.training.rates.latents == 5e-4
    assert paper.training.densification.target == 130_000


@pytest.mark.parametrize("name", ["paper", "paper-permissive", "paper-hybrid"])
def test_without_weights_the_refusal_is_one_line_with_the_command(name: str) -> None:
    with pytest.raises(MissingWeightsError) as caught:
        require(recipe_named(name))
    message = str(caught.value)
    assert "\n" not in message and "perse models fetch" in message and "sdxl-base-1.0" in message


def test_a_video_is_found_and_captured_first_and_without_edits_nothing_is_edited() -> None:
    tiny, video = recipe_named("tiny"), PlannedVideo(frames=250)
    rows = [line.split()[0] for line in describe_plan(tiny, video=video).splitlines() if line[:1].isalpha()]
    assert rows.index("find") + 1 == rows.index("capture") == rows.index("edit") - 1
    find, capture = capture_stages(tiny, video)
    assert find.units == 250 and capture.units == 13  # frames of the recipe's motion
    assert capture_stages(tiny, PlannedVideo(frames=8))[1].units == 8
    text = describe_plan(without_edits(tiny), video=video)
    assert "0 prompts" in text and "finetune" not in text and "60 steps of 1 × 1 images" in text
    assert "capture" not in describe_plan(tiny)


def test_commercial_use_is_decided_before_weights_are_looked_for() -> None:
    with pytest.raises(RecipeError, match=r"flux\.1-dev .*use sdxl-inpainting"):
        require(recipe_named("paper"), commercial_safe=True)
    with pytest.raises(MissingWeightsError):
        require(recipe_named("paper-permissive"), commercial_safe=True)
    require(replace(recipe_named("laptop"), name="mine"), commercial_safe=True)


def test_the_plan_names_stages_workers_downloads_and_disk() -> None:
    text = describe_plan(recipe_named("paper"))
    for part in (
        "957 prompts", "958 clips of 513 frames", "395 hair", "by DiffusionEditor (FluxControlNetInpainter)",
        "50000 steps of 8 × 4 images", "fetch  31.4 GiB  flux.1-dev", "NON-COMMERCIAL", "GPU-hours", "disk: clips",
        "training needs 6 GPU", "fine-tuning needs 6.5 GPU", "evaluate",
    ):  # fmt: skip
        assert part in text, f"{part!r} is not in\n{text}"


@pytest.mark.parametrize(
    ("words", "workers"),
    [
        (("--gpus", "64"), {"edit": 47, "screen": 3, "animate": 68, "train": 8, "morph": 232, "evaluate": 64}),
        (("--gpus", "8"), {"edit": 6, "screen": 1, "animate": 8, "train": 8, "morph": 8, "evaluate": 8}),
        ((), {"edit": 6, "screen": 1, "animate": 8, "train": 8, "morph": 8, "evaluate": 8}),
        (("--gpus", "16"), {"edit": 12, "screen": 1, "animate": 16, "train": 8, "morph": 40, "evaluate": 16}),
        (("--gpus", "2", "--node-gpus", "1"), {"edit": 1, "screen": 1, "animate": 2, "train": 8, "morph": 2}),
    ],
)
def test_the_plan_is_of_the_cluster_that_is_asked_about(
    build_avatar: ModuleType, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], workers: dict[str, int]
) -> None:
    """Workers as the build starts them on so many GPUs, both evaluations, and a word where there are too few."""
    assert build_avatar.run(["--recipe", "paper", "--plan", *words]) == 0
    text = capsys.readouterr().out
    rows = [line.split() for line in text.splitlines() if " GiB, batch " in line]
    count = {row[0]: int(row[row.index("CPU,") - 2]) for row in rows}
    assert {name: count[name] for name in workers} == workers
    assert sum(row[0] == "evaluate" for row in rows) == 2
    assert ("TOO SMALL: training needs 8 training workers" in text) == ("2" in words)
    actors = "2" if workers["morph"] == 2 else f"2 to {workers['morph']}"
    assert f"{actors} morph actors for all of them" in text
    assert "head: EmbeddedHead; the paper has FLAME" in text and "animator of hair: ProceduralAnimator" in text


def test_clips_take_as_long_as_the_slowest_stage_and_the_way_of_one_row() -> None:
    bound, whole = synthesis_s(recipe_named("paper"), equal_nodes(8, 8))
    # 1007.4 rows, rounded.
    assert bound == pytest.approx(1007 * 20.3 / 47, rel=1e-3), "957 accepted ones, one in twenty refused"
    assert whole == pytest.approx(bound + 20.3 + 0.6 + 29.0, rel=1e-3)  # as above


@pytest.mark.parametrize("words", [("--plan", "--gpus", "0"), ("--plan", "--node-gpus", "-1"), ("--gpus", "8")])
def test_a_cluster_that_is_none_is_refused_in_one_line(build_avatar: ModuleType, words: tuple[str, ...]) -> None:
    assert build_avatar.run(["--recipe", "paper", *words]) == EXIT_EXPECTED


def test_the_plan_says_who_films_what_with_which_weights_at_what_price() -> None:
    text = describe_plan(recipe_named("paper"))
    lines = [line.split() for line in text.splitlines() if "filmed by" in line]
    who = {words[1]: words[4].rstrip(",") for words in lines}
    assert {name for name, animator in who.items() if animator == "LivePortrait"} == {
        "reference", "clothes", "eyebrows", "mouth", "nose",
    }  # fmt: skip
    assert "58 eyebrows   filmed by LivePortrait, 17 GPU-s a clip\n" in text
    assert text.count("LivePortrait: liveportrait (MIT); segformer-face-parsing (") == 1
    assert "ProceduralAnimator: no weights\n" in text
    permissive = describe_plan(recipe_named("paper-permissive"))
    assert "7 GPU-s" in permissive and "LivePortrait: liveportrait (MIT)\n" in permissive
    slower = describe_plan(recipe_named("paper"), Rates(liveportrait_frame_s=0.1))
    assert "filmed by LivePortrait, 62 GPU-s a clip" in slower


def test_a_trained_portrait_champ_films_its_categories_and_is_counted() -> None:
    paper = recipe_named("paper")
    champ = champ_paper().animator(Path("champ"))
    trained = replace(paper, animator=paper_animators(TransformersSegmenterConfig(), volume=champ))
    text = describe_plan(trained)
    # 26 windows of 24 frames, 20 steps of two passes of 20 ms each, and 513 frames to parse at 20 ms.
    assert "395 hair       filmed by PortraitChamp, 509 GPU-s a clip\n" in text and "filmed by Procedural" not in text
    assert planned_stages(trained)[2].gpu_hours > 10 * planned_stages(paper)[2].gpu_hours


def test_a_folder_of_ones_own_is_said_to_be_there_only_if_it_is(tmp_path: Path) -> None:
    def planned(folder: Path) -> str:
        return describe_plan(replace(recipe_named("laptop"), animator=champ_paper().animator(folder)))

    assert "ABSENT portrait-champ (as of the videos that it was trained on" in planned(tmp_path / "gone")
    assert "  here  portrait-champ" in planned(tmp_path) and str(tmp_path) in planned(tmp_path)


def test_memory_is_what_the_recipe_keeps_and_streaming_keeps_up() -> None:
    paper, laptop = recipe_named("paper"), recipe_named("laptop")
    assert decoded_gib(paper) == pytest.approx(958 * 513 * 512**2 * 5 / 2**30)
    assert "8.0 GiB of decoded frames; all would be 599.9 GiB, so they are streamed" in describe_plan(paper)
    assert "all frames decoded once" in describe_plan(laptop)
    assert "set up: 4.7 GiB" in describe_plan(paper), "160 watched subjects, not all 958"
    assert "set up: 0.3 GiB" in describe_plan(laptop)
    small = replace(laptop, cluster=replace(laptop.cluster, clips_mib=100))
    assert "0.1 GiB of decoded frames; all would be 0.7 GiB" in describe_plan(small)
    rates = Rates()
    (image_s,) = (stage.seconds for stage in planned_stages(paper) if stage.name == "train")
    assert 1 / image_s < 0.1 / (rates.decode_s_per_megapixel * 512**2 / 1e6), "one thread, ten times over"


def test_a_laptop_downloads_nothing_and_uses_no_gpu() -> None:
    recipe = recipe_named("laptop")
    assert "downloads: none" in describe_plan(recipe)
    assert all(stage.gpu_hours == 0 for stage in planned_stages(recipe))


def test_costs_follow_the_work() -> None:
    paper = recipe_named("paper")
    stages = planned_stages(paper)
    edit, animate = stages[0], stages[2]
    halved = replace(paper, prompts=replace(paper.prompts, counts=((Category.HAIR, 395),)))
    assert planned_stages(halved)[0].gpu_hours == pytest.approx(edit.gpu_hours * 395 / 957)
    (train, of_halved) = (next(s for s in plan if s.name == "train") for plan in (stages, planned_stages(halved)))
    assert of_halved.gpu_hours == train.gpu_hours
    slower = planned_stages(paper, Rates(diffusion_step_s=0.7))
    assert slower[0].gpu_hours == pytest.approx(2 * edit.gpu_hours)
    assert slower[2].core_hours == animate.core_hours
    mixed = EditorByCategoryConfig(
        default=DiffusionEditorConfig(), by_category=((Category.HAIR, ProceduralEditorConfig()),)
    )
    assert planned_stages(replace(paper, editor=mixed))[0].gpu_hours < edit.gpu_hours


def test_the_job_plans_and_refuses_without_making_anything(
    build_avatar: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = tmp_path / "w"
    arguments = build_avatar.Arguments(recipe="paper", workspace=str(workspace), plan=True)
    assert run_command(lambda: build_avatar.main(arguments)) == 0
    assert "957 prompts" in capsys.readouterr().out
    refused = build_avatar.Arguments(recipe="paper", workspace=str(workspace))
    assert run_command(lambda: build_avatar.main(refused)) == EXIT_EXPECTED
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "perse models fetch" in line
    safe = build_avatar.Arguments(recipe="paper", workspace=str(workspace), commercial_safe=True)
    assert run_command(lambda: build_avatar.main(safe)) == EXIT_EXPECTED
    assert "use sdxl-inpainting" in capsys.readouterr().err
    assert not workspace.exists()
