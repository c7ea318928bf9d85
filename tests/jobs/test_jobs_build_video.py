"""`perse build --video`: refusals in one line; and, once, all the way to Table 6."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from perse.data.workspace import Workspace
from perse.errors import InputError, WorkspaceError
from perse.export.video import mp4_bytes
from perse.recipes import recipe_named
from perse_ray.build.recorded import find_recorded
from perse_ray.commands.command_line import EXIT_EXPECTED, run_command
from perse_ray.commands.evaluate import run as evaluate


@pytest.fixture(scope="module")
def nobody(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of a wall."""
    path = tmp_path_factory.mktemp("video") / "wall.mp4"
    path.write_bytes(mp4_bytes([np.full((120, 160, 3), 150 + n, np.uint8) for n in range(6)], 25.0))
    return path


def _complain(job: ModuleType, capsys: pytest.CaptureFixture[str], **arguments: object) -> str:
    code = run_command(lambda: job.main(job.Arguments(recipe="tiny", **arguments)))
    written = capsys.readouterr().err
    assert code == EXIT_EXPECTED, written
    (line,) = [line for line in written.splitlines() if line.startswith("error: ")]
    return line


def test_what_does_not_go_together(
    build_avatar: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path, nobody: Path
) -> None:
    place = str(tmp_path / "w")
    assert "without --portrait" in _complain(build_avatar, capsys, video=nobody, portrait="me.jpg", workspace=place)
    assert "needs a --video" in _complain(build_avatar, capsys, edits=False, workspace=place)
    both = _complain(build_avatar, capsys, video=nobody, edits=False, prompts=Path("mine.csv"), workspace=place)
    assert "no --prompts" in both
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("content", [b"", b"not a video", b"\x00\x00\x00\x20ftypisom" + bytes(400)])
def test_what_is_no_video(
    build_avatar: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "me.mp4").write_bytes(content)
    line = _complain(build_avatar, capsys, video=tmp_path / "me.mp4", workspace=str(tmp_path / "w"))
    assert "me.mp4" in line and not (tmp_path / "w").exists()
    gone = _complain(build_avatar, capsys, video=tmp_path / "gone.mp4", workspace=str(tmp_path / "w"))
    assert "gone.mp4" in gone and not (tmp_path / "w").exists()


def test_a_video_without_a_face(tmp_path: Path, nobody: Path) -> None:
    with pytest.raises(InputError, match="no face was found in the video"):
        find_recorded(Workspace.open(str(tmp_path / "w")), nobody, recipe_named("tiny"))


def test_another_persons_workspace_is_refused_before_anybody_is_looked_for(tmp_path: Path, nobody: Path) -> None:
    workspace = Workspace.open(str(tmp_path / "w"))
    workspace.claim("somebody")
    with pytest.raises(WorkspaceError, match="holds the avatar of another video or portrait"):
        find_recorded(workspace, nobody, recipe_named("tiny"))


@pytest.mark.heavy
def test_two_people_are_a_question(tmp_path: Path) -> None:
    import matplotlib.cbook
    import skimage.data
    from PIL import Image

    with Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as picture:
        hopper = np.asarray(picture.convert("RGB").resize((400, 480)))
    both = np.concatenate([skimage.data.astronaut()[:480, :400], hopper], 1)
    (tmp_path / "both.mp4").write_bytes(mp4_bytes([both] * 3, 25.0))
    with pytest.raises(InputError, match="shows 2 faces; choose one with --face N"):
        find_recorded(Workspace.open(str(tmp_path / "w")), tmp_path / "both.mp4", recipe_named("tiny"))
    her = find_recorded(Workspace.open(str(tmp_path / "w")), tmp_path / "both.mp4", recipe_named("tiny"), face=2)
    assert her.face_of_photograph == 2 and her.face.landmarks_px[0, 1, 0] > 400


@pytest.mark.heavy
def test_a_video_becomes_an_avatar_and_its_twin_is_measured(
    build_avatar: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two avatars of a rendered film, as `python -m benchmarks.recorded_film` makes it."""
    from benchmarks.recorded_film import FPS, performed, recorded
    from perse.data.photograph import read_photograph
    from perse.head.embedded import embedded_head
    from perse.synthesis.procedural.animator import ProceduralAnimatorConfig
    from perse.synthesis.seams import Shot
    from perse.tracking import MediapipeTrackerConfig

    model, frames = embedded_head(), 60
    portrait = MediapipeTrackerConfig().build(model).track(read_photograph(None))
    shot = Shot(np.arange(frames, dtype=np.int32), performed(model, frames), 512)
    clip = ProceduralAnimatorConfig().build(model).animate(portrait, None, shot)
    film = recorded(np.asarray(clip.images[:]), np.asarray(clip.alphas[:]), np.random.default_rng(0))
    (tmp_path / "me.mp4").write_bytes(mp4_bytes(film, FPS))
    place = tmp_path / "w"
    arguments = build_avatar.Arguments(video=tmp_path / "me.mp4", edits=False, recipe="tiny", workspace=str(place))
    build_avatar.main(arguments)
    assert "unseen video  PSNR" in capsys.readouterr().out
    metrics = json.loads((place / "report/metrics.json").read_text())
    assert (place / "report/video.png").stat().st_size > 10_000
    assert metrics["video"]["PSNR"] > 12 and metrics["n_subjects"] == 1
    build_avatar.main(arguments)
    assert "10 stages were finished before" in capsys.readouterr().out
    assert evaluate(["--workspace", str(place), "--recipe", "tiny", "--protocol", "table6", "--frames", "2"]) == 0
    rows = json.loads((place / "report/table6.json").read_text())["rows"]
    assert list(rows) == ["real video", "synthetic twin", "this avatar"]
    assert all(row["PSNR"]["value"] > 10 for row in rows.values()) and rows["real video"]["LPIPS"]["missing"]
    assert (place / "report/table6.png").stat().st_size > 10_000
