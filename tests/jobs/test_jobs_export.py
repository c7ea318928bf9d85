"""Exporting and verifying from the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from synthetic_avatar import synthetic_avatar

from perse.avatar import save_avatar
from perse.errors import InputError
from perse.export import FORMATS, SUFFIXES, read_splats
from perse.export.usd import read_usd
from perse_ray.commands import export, verify


@pytest.fixture(scope="module")
def avatar_folder(head_model, tiny_clips, tmp_path_factory: pytest.TempPathFactory) -> str:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("export")
    save_avatar(synthetic_avatar(head_model, tiny_clips), folder)
    return str(folder)


def test_all_formats_at_once(avatar_folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outs = tuple(tmp_path / f"me{SUFFIXES[format]}" for format in FORMATS)
    export.main(export.Arguments(out=outs, workspace=avatar_folder, wear=("hat=hat-",), pose=("jaw=20,0,0",)))
    assert all(path.stat().st_size > 10_000 for path in outs)
    assert len(read_splats(outs[0])) > 500
    capsys.readouterr()
    assert verify.main(verify.Arguments(files=outs))
    said = capsys.readouterr().out
    assert said.count("a prompt") == len(outs) and "not signed" in said


def test_a_motion_becomes_time_samples(avatar_folder: str, tmp_path: Path) -> None:
    out = tmp_path / "me.usdc"
    export.main(export.Arguments(out=(out,), workspace=avatar_folder, motion="builtin", stride=30))
    gaussians, fps = read_usd(out)
    assert len(gaussians.means) == 4 and fps == pytest.approx(25 / 30)
    assert (gaussians.means[0] - gaussians.means[1]).abs().max() > 0.01


def test_a_motion_becomes_numbered_files(
    avatar_folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "frames" / "me_####.ply"
    export.main(export.Arguments(out=(out,), workspace=avatar_folder, motion="builtin", stride=30, cull=False))
    frames = sorted(out.parent.iterdir())
    assert [path.name for path in frames] == [f"me_000{number}.ply" for number in range(4)]
    first, second = (read_splats(path) for path in frames[:2])
    assert len(first) == len(second) and (first.means - second.means).abs().max() > 0.01
    assert "4 frames" in capsys.readouterr().out


def test_what_nobody_sees_is_left_out_and_counted(
    avatar_folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    culled, whole = tmp_path / "culled.ply", tmp_path / "whole.ply"
    export.main(export.Arguments(out=(culled,), workspace=avatar_folder))
    said = re.search(r"left out (\d+) of (\d+) Gaussians .* within 60 degrees", capsys.readouterr().out)
    export.main(export.Arguments(out=(whole,), workspace=avatar_folder, cull=False))
    assert "left out" not in capsys.readouterr().out
    assert said and int(said[2]) == len(read_splats(whole))
    assert len(read_splats(culled)) == int(said[2]) - int(said[1]) < int(said[2])


def test_mistakes_are_explained_before_any_work(avatar_folder: str, tmp_path: Path) -> None:
    for arguments in (
        export.Arguments(out=(tmp_path / "me.obj",), workspace="nowhere"),
        export.Arguments(out=(tmp_path / "me.ply",), workspace=str(tmp_path / "nowhere")),
        export.Arguments(out=(tmp_path / "me.ply",), workspace=avatar_folder, wear=("hat=crown",)),
        export.Arguments(out=(tmp_path / "me.usdc",), workspace=avatar_folder, motion="builtin", pose=("jaw=1,0,0",)),
        export.Arguments(out=(tmp_path / "me.usdc",), workspace=avatar_folder, motion="builtin", stride=0),
        export.Arguments(out=(tmp_path / "me_##.ply",), workspace=avatar_folder),
        export.Arguments(out=(tmp_path / "me_##.usdc",), workspace=avatar_folder, motion="builtin"),
        export.Arguments(out=(tmp_path / "me_#.ply",), workspace=avatar_folder, motion="builtin", stride=4),
    ):
        with pytest.raises(InputError):
            export.main(arguments)
    assert list(tmp_path.iterdir()) == []


def test_json_for_programs(avatar_folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "me.glb"
    export.main(export.Arguments(out=(out,), workspace=avatar_folder, wear=("hat=hat-*0.5",)))
    capsys.readouterr()
    verify.main(verify.Arguments(files=(out,), json=True))
    said = json.loads(capsys.readouterr().out)
    assert said["provenance"]["edits"][0]["weight"] == 0.5 and said["signed"] is False
